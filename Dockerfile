# One image for every process; docker-compose.yml says which command is which.
FROM node:20-bookworm-slim AS pages
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
WORKDIR /srv
COPY chargeplat/miniprogram.py chargeplat/
COPY docs/openapi.yaml docs/
COPY miniprogram miniprogram
RUN python3 chargeplat/miniprogram.py

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/srv/.venv/bin:$PATH
WORKDIR /srv
COPY requirements.txt ./
RUN python -m venv .venv && pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
COPY --from=pages /srv/miniprogram/dist/h5 miniprogram/dist/h5
# Settings want a database's address and a key; collecting static files uses neither.
RUN DATABASE_URL=postgres://unused/unused SECRET_KEY=unused python manage.py collectstatic --noinput -v 0 \
    && useradd --system --home-dir /srv chargeplat && mkdir -p /var/lib/chargeplat/files && chown -R chargeplat /var/lib/chargeplat
ENV CHARGEPLAT_STATE=/var/lib/chargeplat
USER chargeplat
EXPOSE 8000 9988
CMD ["daphne", "-b", "0.0.0.0", "-p", "8000", "chargeplat.asgi:application"]
