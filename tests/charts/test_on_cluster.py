"""On a real node: the chart's trial S3 is ready with fsync on, and mail pods as they are built start over it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.charts.rendered import render
from tests.cluster.fixtures import Cluster
from tests.operator.build.domains import INPUTS, domain

from mailoperator.build.children import build_children
from mailoperator.build.inputs import BucketInputs

pytestmark = pytest.mark.cluster


def test_the_trial_s3_and_mail_pods_over_it(cluster: Cluster) -> None:
    namespace = cluster.namespace("chart")
    chart = render("trialS3.enabled=true", f'images.trialS3="{cluster.weed}"', namespace=namespace)
    cluster.apply([each for each in chart if each["metadata"]["name"] == "mail-s3"])
    keys = {"access": "unused", "secret": "unused"}
    file = f"[default]\naws_access_key_id = {keys['access']}\naws_secret_access_key = {keys['secret']}\n"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "example-bucket"}}
    cluster.apply({**secret, "stringData": {"credentials": file}}, "-n", namespace)
    bucket = BucketInputs("mail", "", f"http://mail-s3.{namespace}.svc:8333", "us-east-1", "example-bucket")
    of = domain({"replicas": 2, "networkPolicy": "Enabled"})
    for child in build_children(of, replace(INPUTS, image=cluster.mailpod, bucket=bucket)):
        child["metadata"]["namespace"] = namespace
        child["metadata"].pop("ownerReferences")
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(child))

    cluster.wait_rollout(namespace, "deployment/mail-s3", "deployment/example", timeout=240)
    said = cluster.kubectl(
        *("-n", namespace, "exec", "deployment/mail-s3", "--", "sh", "-c"),
        "echo fs.configure | weed shell -master=127.0.0.1:9333",
    )
    assert '"fsync"' in said
