# One image for every process; compose.yaml says which command each runs. docs/running.md explains.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.txt .
RUN pip install --require-hashes --requirement requirements.txt

COPY . .
# Static files are collected as production serves them, so its settings must load: with secrets that are thrown away.
RUN TUZO_ENV=production TUZO_PUBLIC_URL=https://build.invalid \
    DATABASE_URL=postgresql://build.invalid/build REDIS_URL=redis://build.invalid/0 SIMULATOR_CONTROL_TOKEN=build \
    SECRET_KEY="$(head -c 48 /dev/urandom | base64 -w 0)" AUDIT_KEY="$(head -c 48 /dev/urandom | base64 -w 0)" \
    ENCRYPTION_KEYS="$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')" \
    python manage.py collectstatic --no-input --verbosity 0

RUN useradd --system --uid 10001 tuzo && mkdir /data && chown tuzo /data
USER tuzo
ENV TUZO_DATA=/data
VOLUME /data
EXPOSE 8000

CMD ["granian", "--interface", "asgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "1", \
     "--loop", "uvloop", "--no-ws", "config.asgi:application"]
