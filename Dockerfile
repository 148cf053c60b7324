# bulkcert: API, workers or deployer, by the command that follows the image's name.
#   docker build -t bulkcert .
# Run with a read-only root; /var/lib/bulkcert is the only folder that is written. compose.yaml shows all of it.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# The tools that build the wheel stay in this stage.
COPY requirements-dev.lock ./
RUN python -m venv /build \
    && /build/bin/pip install --no-deps --require-hashes -r requirements-dev.lock

COPY requirements.lock ./
RUN python -m venv --without-pip /opt/bulkcert \
    && pip --python /opt/bulkcert install --no-deps --require-hashes --no-compile -r requirements.lock

COPY pyproject.toml README.md LICENSE openapi.yaml ./
COPY docs/problems.md docs/
COPY bulkcert bulkcert
RUN /build/bin/python -m hatchling build -t wheel -d /dist \
    && pip --python /opt/bulkcert install --no-deps --no-index --no-compile /dist/bulkcert-*.whl \
    && python -m compileall -q /opt/bulkcert


FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="bulkcert" \
      org.opencontainers.image.description="Bulk import of per-device PKCS#12 files for Always-On IKEv2 VPN" \
      org.opencontainers.image.licenses="Apache-2.0"
# The folders are there so that an empty volume mounted over one gets its owner and mode.
RUN groupadd --system --gid 10001 bulkcert \
    && useradd --system --uid 10001 --gid bulkcert --no-create-home --home-dir /var/lib/bulkcert bulkcert \
    && install -d -m 0700 -o bulkcert -g bulkcert /var/lib/bulkcert /var/lib/bulkcert-key
COPY --from=build /opt/bulkcert /opt/bulkcert
COPY deploy/container/healthcheck.py /opt/bulkcert/healthcheck.py
ENV PATH=/opt/bulkcert/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    BULKCERT_DATA_DIR=/var/lib/bulkcert
USER 10001:10001
WORKDIR /var/lib/bulkcert
VOLUME ["/var/lib/bulkcert"]
EXPOSE 4443
# serve: 20 s for requests, 12 s for a deployer. Stop a container with a grace of 40 s.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-P", "/opt/bulkcert/healthcheck.py"]
ENTRYPOINT ["bulkcert"]
CMD ["serve", "--host", "0.0.0.0"]
