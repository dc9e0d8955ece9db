"""Brings about the Kubernetes objects of a host, and removes those that it no longer wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from mailoperator import conditions as c
from mailoperator.applying import ensure, is_there
from mailoperator.build import names
from mailoperator.build.children import CHILD_KINDS, build_children
from mailoperator.build.inputs import CERTIFICATES, POD_MONITORS, BuildInputs
from mailoperator.context import Context
from mailoperator.gather import Unusable
from mailoperator.keyedqueue import Retry
from mailoperator.kube import ApiError
from mailoperator.model import MailDomain
from mailoperator.rollouts import is_rolling, would_roll

Raw: TypeAlias = dict[str, Any]
_OF_OTHERS: Final = {POD_MONITORS: "PodMonitor", CERTIFICATES: "Certificate"}
_TURN_SECONDS: Final = 5.0  # between two looks whether it is this one's turn to roll


@dataclass(frozen=True, slots=True)
class Running:
    """What became of a host's objects."""

    deployment: Raw
    service: Raw

    @property
    def replicas(self) -> int:
        return int((self.deployment.get("status") or {}).get("replicas", 0))

    @property
    def available(self) -> int:
        return int((self.deployment.get("status") or {}).get("availableReplicas", 0))

    @property
    def rolling(self) -> bool:
        return is_rolling(self.deployment)

    @property
    def addresses(self) -> list[str]:
        """Where the Service is reached: the load balancer's addresses, else the cluster's own."""
        given = ((self.service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        found = [place.get("ip") or place.get("hostname") or "" for place in given]
        spec = self.service.get("spec") or {}
        inside = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
        return [address for address in found or inside if address and address != "None"][:8]


async def known_apis(ctx: Context) -> frozenset[str]:
    """Which of the others' APIs there are."""
    return frozenset([version for version, kind in _OF_OTHERS.items() if await ctx.kube.has_api(version, kind)])


async def bring_about_served(ctx: Context, domain: MailDomain, inputs: BuildInputs) -> None:
    """The children of one that another serves: a Certificate at most, and what it had as a server is looked for once.

    Hundreds are served by one host, and looked at again whenever it is. Raises ApiError.
    """
    state = domain.metadata.uid, domain.metadata.generation
    once = ctx.served.get(domain.key) != state
    await bring_about(ctx, domain, inputs, CHILD_KINDS if once else ((CERTIFICATES, "Certificate"),))
    ctx.served[domain.key] = state


async def bring_about(
    ctx: Context, domain: MailDomain, inputs: BuildInputs, kinds: Sequence[tuple[str, str]] = CHILD_KINDS
) -> list[Raw]:
    """All children, in order; the objects as they then are. Raises ApiError; Retry where others roll first; Unusable
    where a name is taken.
    """
    wanted = build_children(domain, inputs)
    live = await _live(ctx, domain, inputs.apis, kinds)
    done = []
    for child in wanted:
        there = live.pop(_id(child), None) or await _unlabelled(ctx, domain, child)
        if child["kind"] == "Deployment":
            _take_turn(ctx, domain, child, there)
        ctx.leader.check()
        try:
            done.append(await ensure(ctx.kube, child, live=there))
        except ApiError:
            if child["kind"] == "Deployment" and (there is None or not is_rolling(there)):
                ctx.rollouts.end(domain.key)  # nothing rolls: the others need not wait
            raise
    await _prune(ctx, domain, list(live.values()))
    return done


async def _unlabelled(ctx: Context, domain: MailDomain, child: Raw) -> Raw | None:
    """What stands under a child's name without its labels. Raises Unusable where that is not this MailDomain's."""
    metadata = child["metadata"]
    found = await ctx.kube.get(child["apiVersion"], child["kind"], metadata["namespace"], metadata["name"])
    owners = (found or {}).get("metadata", {}).get("ownerReferences") or []
    if found is None or any(
        one.get("kind") == domain.kind and one.get("name") == domain.metadata.name for one in owners
    ):
        return found
    words = (
        f"{child['kind']} {metadata['name']} is there and not Mailpod's: remove it, or call the MailDomain otherwise"
    )
    raise Unusable(c.bad(c.AVAILABLE, c.NAME_TAKEN, words))


def running(objects: Sequence[Raw], domain: MailDomain) -> Running:
    """The Deployment and the Service among them."""
    by_kind = {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}
    name = names.base(domain)
    return Running(by_kind["Deployment", name], by_kind["Service", name])


def _id(obj: Raw) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


async def _live(
    ctx: Context, domain: MailDomain, apis: frozenset[str], kinds: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Raw]:
    labels = names.selector_text(domain)
    found: dict[tuple[str, str], Raw] = {}
    for version, kind in kinds:
        if version in _OF_OTHERS and version not in apis:
            continue
        for obj in await ctx.kube.list(version, kind, domain.metadata.namespace, labels=labels):
            found[_id(obj)] = obj
    return found


async def _prune(ctx: Context, domain: MailDomain, left: Sequence[Raw]) -> None:
    """Only what this very MailDomain owns."""
    for obj in left:
        metadata = obj["metadata"]
        owners = [owner["uid"] for owner in metadata.get("ownerReferences") or []]
        if owners == [domain.metadata.uid] and not metadata.get("deletionTimestamp"):
            ctx.leader.check()
            await ctx.kube.delete(
                obj["apiVersion"], obj["kind"], metadata["namespace"], metadata["name"], uid=metadata["uid"]
            )


def _take_turn(ctx: Context, domain: MailDomain, wanted: Raw, live: Raw | None) -> None:
    """Where applying would roll running pods, only one MailDomain's at a time (rule 40)."""
    if live is None or is_there(wanted, live) or not would_roll(wanted, live):
        if live is not None and not is_rolling(live):
            ctx.rollouts.end(domain.key)
        return
    if not ctx.rollouts.begin(domain.key, ctx.clock.elapsed()):
        raise Retry(_TURN_SECONDS, "another MailDomain's pods are being rolled")
