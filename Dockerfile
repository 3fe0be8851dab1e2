# One image for the five processes (web, relay, consumer, worker, beat); each is a command.

FROM python:3.11-slim AS build
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.txt ./
# Wheels only: nothing of a package runs while it is installed.
RUN pip install --no-cache-dir --require-hashes --only-binary :all: --compile -r requirements.txt
COPY manage.py ./
COPY usercenter usercenter
COPY accounts accounts
COPY events events
RUN python -m compileall -q usercenter accounts events

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app /app
# Settings may be mounted as /secrets/.env; the environment wins over it.
RUN useradd --system --uid 10001 --no-create-home usercenter \
 && install -d -o usercenter -g usercenter logs \
 && install -d -o usercenter -g usercenter -m 0700 /secrets \
 && ln -s /secrets/.env .env
USER usercenter
EXPOSE 8080
CMD ["gunicorn", "-c", "python:usercenter.gunicorn", "usercenter.wsgi"]
