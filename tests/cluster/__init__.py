"""The project's own one-node Kubernetes cluster, for tests and to play with: `python -m tests.cluster --help`.

- `need`        what a machine must have, and what it lacks
- `cache`       what is built once and kept outside the checkout
- `binaries`    Kubernetes, etcd, CoreDNS and helm, built with Go at the versions in `versions`
- `images`      the project's own images, by buildah from `docker/`
- `components`  the command line and configuration of each component (also for `tests/apiserver`)
- `node`        process 1 of a cluster, inside its namespaces
- `cluster`     a cluster seen from outside: up, run in it, down
- `fixtures`    the pytest fixtures `cluster` and `namespace`
"""
