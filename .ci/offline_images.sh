#!/usr/bin/env bash
# Makes the images that docker-compose.embedded.yml and the Dockerfile name from Debian's packages,
# where no registry of images can be reached. They only stand in for `make prove-compose`.
# Run it as root, with DOCKER_HOST; it needs debootstrap. Certificates and pip's settings of this
# host go into Python's image, since its mirrors may need them. Debian's Python is older than some
# packages want, so a `python3.11` of this host that is not Debian's goes there too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root"
tar -C "$work/root" -c . | docker import - debian-minbase:bookworm
mkdir "$work/context"
cp /etc/ssl/certs/ca-certificates.crt "$work/context/"
cat /etc/pip.conf 2>/dev/null > "$work/context/pip.conf" || true
mkdir "$work/context/local"
own=$(python3.11 -c 'import sys; print(sys.base_prefix)')
if [ "$own" != /usr ]; then
    tar -C "$own" --exclude site-packages --exclude __pycache__ -c lib/python3.11 bin/python3.11 \
        $(cd "$own" && ls lib/libpython3.11.so* 2>/dev/null) | tar -C "$work/context/local" -x
fi

cat > "$work/context/python" <<'END'
FROM debian-minbase:bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv python3-pip \
    && rm -rf /var/lib/apt/lists/* /usr/lib/python3.11/EXTERNALLY-MANAGED \
    && ln -sf python3 /usr/bin/python && ln -sf pip3 /usr/bin/pip
COPY local /usr/local
RUN ldconfig && if [ -e /usr/local/bin/python3.11 ]; then \
        ln -sf python3.11 /usr/local/bin/python3 && ln -sf python3 /usr/local/bin/python \
        && python -m ensurepip --default-pip; fi
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY pip.conf /etc/pip.conf
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
END

cat > "$work/context/redis" <<'END'
FROM debian-minbase:bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/*
END

cat > "$work/context/entry.sh" <<'END'
set -e
if [ "$(id -u)" = 0 ]; then exec gosu postgres bash /entry.sh "$@"; fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --encoding UTF8 --locale C.UTF-8 --username postgres > /dev/null 2>&1
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl -o "-c listen_addresses=" -w start > /dev/null
    psql -q -U postgres -c "CREATE ROLE $POSTGRES_USER LOGIN PASSWORD '$POSTGRES_PASSWORD'" \
        -c "CREATE DATABASE $POSTGRES_DB OWNER $POSTGRES_USER"
    pg_ctl -m fast -w stop > /dev/null
fi
exec "$@" -c listen_addresses='*'
END
cat > "$work/context/postgres" <<'END'
FROM debian-minbase:bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-15 gosu \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner postgres --mode 700 /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY entry.sh /entry.sh
ENTRYPOINT ["bash", "/entry.sh"]
CMD ["postgres"]
END

for name in python:3.11-slim-bookworm redis:8.2-bookworm postgres:17.7-bookworm; do
    docker build --network host --tag "$name" --file "$work/context/${name%%:*}" "$work/context"
done
