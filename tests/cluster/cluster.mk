# The one-node cluster of tests/cluster, for the Makefile.

.PHONY: cluster cluster-down test-cluster

cluster: $(STAMP)
	@$(VENV)/bin/python -m tests.cluster up

cluster-down: $(STAMP)
	@$(VENV)/bin/python -m tests.cluster down

test-cluster: $(STAMP)
	$(VENV)/bin/pytest -m cluster $(ARGS)
