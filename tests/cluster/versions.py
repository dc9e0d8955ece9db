"""What the test cluster is made of. The go.mod of `go/kubernetes` and `go/etcd` name the same versions."""

from __future__ import annotations

KUBERNETES = "1.36.3"
ETCD = "3.6.16"
COREDNS = "1.14.7"
HELM = "4.3.1"
DEBIAN = "bookworm"
"""The release of the base image; its Python 3.11 is what the pins in requirements/ are resolved for."""
