# The operator. From the repository's root: docker build -f docker/operator.Dockerfile -t mail-operator .
# A change of the source rebuilds and pulls only the last, small layer.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/mailpod
COPY docker/build.txt requirements/operator.txt /opt/
RUN /opt/build/bin/pip install --quiet --disable-pip-version-check --require-hashes -r /opt/build.txt
RUN /opt/build/bin/pip --python /opt/mailpod/bin/python install --quiet --disable-pip-version-check \
    --require-hashes -r /opt/operator.txt

FROM dependencies AS package
COPY pyproject.toml README.md LICENSE /src/
COPY mailpod /src/mailpod
COPY operator /src/operator
RUN /opt/build/bin/pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w /wheel /src \
    && /opt/build/bin/pip --python /opt/mailpod/bin/python install --quiet --disable-pip-version-check \
        --no-deps --prefix /package /wheel/*.whl

FROM ${BASE}
# with a name, since without one the kubelet gives it the group 0
RUN echo mailpod:x:65532:65532::/:/usr/sbin/nologin >> /etc/passwd && echo mailpod:x:65532: >> /etc/group
COPY --from=dependencies /opt/mailpod /opt/mailpod
COPY --from=package /package /opt/mailpod
ENV PATH=/opt/mailpod/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /
EXPOSE 8080
ENTRYPOINT ["mail-operator"]
CMD ["run"]
