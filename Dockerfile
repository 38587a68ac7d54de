# The app, the worker and all commands in one image: `docker build -t reserva .`
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
# Extras of pyproject.toml that the image also has, separated by spaces: `--build-arg EXTRAS=otel` for traces.
ARG EXTRAS=
WORKDIR /build
COPY requirements.lock pyproject.toml ./
# uv is installed first, with its own hashes checked; uv then checks the hashes of all other packages.
RUN sed -n '/^uv==/,/# via/p' requirements.lock > uv.txt \
 && pip install --no-cache-dir --disable-pip-version-check --require-hashes -r uv.txt
# The lock also contains what the trial and the tests need; used as constraints, it installs none of that.
RUN python -m venv --without-pip /opt/reserva \
 && uv pip install --python /opt/reserva/bin/python --no-cache --compile-bytecode --only-binary :all: \
      --require-hashes --constraints requirements.lock -r pyproject.toml ${EXTRAS:+$(printf ' --extra %s' $EXTRAS)}
COPY README.md README.md
COPY app app
COPY worker worker
RUN uv build --wheel --no-cache --require-hashes --build-constraints requirements.lock --out-dir dist . \
 && uv pip install --python /opt/reserva/bin/python --no-cache --compile-bytecode --no-deps dist/*.whl

FROM ${BASE}
COPY --from=build /opt/reserva /opt/reserva
ENV PATH=/opt/reserva/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# An id without a user. The processes write nothing to the image, so it can run read-only.
USER 10001:10001
WORKDIR /opt/reserva
EXPOSE 8000
# The check of the app, wherever it listens; a container with another command needs its own, like compose.yaml's worker.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["reserva", "health", "app"]
ENTRYPOINT ["reserva"]
CMD ["serve", "--host", "0.0.0.0"]
