# streamgen on a CPU: docker build -t streamgen . && docker run --rm --network host streamgen
# Without host networking, name the ports that media take and the address that browsers reach:
#   docker run --rm -p 7860:7860 -p 50000-50019:50000-50019/udp streamgen \
#       --udp-ports 50000-50019 --public-ip 192.0.2.10
# The token is made at each start and printed once; STREAMGEN_TOKEN sets your own.
FROM python:3.12-slim-bookworm AS build
WORKDIR /build
# pip takes the CPU build of torch, unless another index is named: --build-arg TORCH_INDEX=URL
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --upgrade pip && \
    /venv/bin/pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -c constraints.txt \
        "torch==$(sed -n 's/^torch==//p' constraints.txt)+cpu"
COPY . .
RUN /venv/bin/pip install --no-cache-dir -c constraints.txt '.[int8,tls]'

FROM python:3.12-slim-bookworm
COPY --from=build /venv /venv
RUN useradd --create-home --uid 10001 streamgen && \
    install -d -o streamgen -g streamgen /cache
USER streamgen
ENV OMP_WAIT_POLICY=PASSIVE PYTHONUNBUFFERED=1 STREAMGEN_CACHE=/cache
# Compiled networks and certificates: a volume here makes the second start fast.
VOLUME /cache
EXPOSE 7860
# Whether the page is served is asked of /healthz, whether a model is ready of /readyz; this holds
# with and without --tls.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["/venv/bin/python", "-c", "import socket; socket.create_connection(('127.0.0.1', 7860), 4)"]
STOPSIGNAL SIGTERM
# What is given to `docker run` comes after these, and rules over them. Names in front of the server
# (a proxy, a DNS name) are allowed with --public-name NAME.
ENTRYPOINT ["/venv/bin/streamgen", "serve", "--host", "0.0.0.0", "--token", "auto"]
