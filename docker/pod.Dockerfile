# The mail pod. From the repository's root: docker build -f docker/pod.Dockerfile -t mailpod .
# A change of the source rebuilds and pulls only the last, small layer.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/mailpod
COPY docker/build.txt requirements/pod.txt /opt/
RUN /opt/build/bin/pip install --quiet --disable-pip-version-check --require-hashes -r /opt/build.txt
RUN /opt/build/bin/pip --python /opt/mailpod/bin/python install --quiet --disable-pip-version-check \
    --require-hashes -r /opt/pod.txt

FROM dependencies AS package
COPY pyproject.toml README.md LICENSE /src/
COPY mailpod /src/mailpod
# the wheel has no operator, since its source is not here
RUN /opt/build/bin/pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w /wheel /src \
    && /opt/build/bin/pip --python /opt/mailpod/bin/python install --quiet --disable-pip-version-check \
        --no-deps --prefix /package /wheel/*.whl \
    && rm -f /package/bin/mail-operator

FROM ${BASE}
# with a name, since without one the kubelet gives it the group 0
RUN echo mailpod:x:65532:65532::/:/usr/sbin/nologin >> /etc/passwd && echo mailpod:x:65532: >> /etc/group
COPY --from=dependencies /opt/mailpod /opt/mailpod
COPY --from=package /package /opt/mailpod
ENV PATH=/opt/mailpod/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /
# SMTP, submission with STARTTLS and with TLS, IMAP, POP3, HTTP; hints between pods
EXPOSE 10025 10587 10465 10143 10993 10110 10995 18080 10099/udp
ENTRYPOINT ["mailpod"]
CMD ["serve", "--config", "/etc/mailpod/pod.json"]
