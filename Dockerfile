# One image for all our processes: migrate, serve, worker and beat differ only in their command.
#   docker build --tag lookalike:0.1.0 .
#   docker build --tag lookalike:0.1.0-cuda --build-arg TORCH=cu128 .
# The tests run on Python 3.11.
FROM python:3.11-slim-bookworm AS build

# The build of torch: cpu (a tenth of the size), or cu126, cu128 … for NVIDIA's drivers. Empty: the
# one of the package index that is used for everything else, where PyTorch's own is not reached.
ARG TORCH=cpu
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
RUN pip install --no-cache-dir uv==0.13.8 \
    && uv venv /opt/lookalike
ENV VIRTUAL_ENV=/opt/lookalike
WORKDIR /src

# The packages first: this layer, by far the largest, is built again only when they change.
COPY pyproject.toml constraints.txt ./
RUN uv pip install ${TORCH:+--torch-backend "${TORCH}"} --requirements pyproject.toml --extra server \
    --constraints constraints.txt

COPY README.md LICENSE ./
COPY backend backend
COPY workers workers
COPY migrations migrations
RUN uv build --wheel --out-dir /dist --build-constraints constraints.txt \
    && uv pip install --no-deps /dist/*.whl


FROM build AS manual

RUN uv pip install --requirements pyproject.toml --extra docs --constraints constraints.txt
COPY ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md DECISIONS.md ./
COPY benchmarks/README.md benchmarks/README.md
COPY tests/README.md tests/README.md
COPY docs docs
RUN cd docs/site && /opt/lookalike/bin/mkdocs build --quiet


FROM python:3.11-slim-bookworm

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lookalike" \
      org.opencontainers.image.description="Visual recommendations for e-commerce" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# tini reaps dead decoder processes and forwards signals; Kubernetes has no `init: true` for that.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 lookalike \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /data lookalike \
    && install --directory --owner lookalike --group lookalike /data /data/images

COPY --from=build /opt/lookalike /opt/lookalike
COPY --from=manual /src/build/manual /opt/manual

# Only /data and /tmp are written, so the root file system can be read-only.
ENV PATH=/opt/lookalike/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LOOKALIKE_DATA_DIR=/data \
    LOOKALIKE_MANUAL_DIR=/opt/manual \
    LOOKALIKE_NETWORKS_DIR=/data/networks \
    TORCH_HOME=/data/torch
WORKDIR /data
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000

# For the API; compose and Kubernetes set checks for the other processes.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["tini", "--", "lookalike"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
