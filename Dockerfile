# One image for everything of ours: each container says which module it runs.
FROM python:3.13-slim AS dependencies
COPY requirements/run.lock /tmp/run.lock
RUN python -m venv /app/.venv && /app/.venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/run.lock

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin holdfast
COPY --from=dependencies /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:/app/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
# .dockerignore lets in our packages and the command, and nothing else, so that no password or test can end up in the image.
COPY . .
USER 10001:10001
