# The base image by the name that the Dockerfile's argument has: Debian's packages, and the settings of this machine,
# by which pip and uv find packages during the build.
FROM reserva-test-debian
COPY settings /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN ln -sf python3 /usr/bin/python && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
