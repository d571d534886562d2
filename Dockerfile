# The service and what serving needs; no TensorFlow, no compiler. Build: docker build -t undertone .
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/server.lock requirements/
RUN python -m venv /opt/undertone \
 && /opt/undertone/bin/pip install --no-cache-dir --no-compile --no-deps --require-hashes -r requirements/server.lock
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY lab lab
COPY sandbox sandbox
COPY ser_engine ser_engine
COPY storage storage
COPY model model
# pip goes again: nothing is installed into a running service.
RUN /opt/undertone/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/undertone/bin/python -m compileall -q /opt/undertone/lib \
 && /opt/undertone/bin/pip uninstall -q -y pip

FROM python:3.13-slim
RUN groupadd --gid 10001 undertone \
 && useradd --uid 10001 --gid 10001 --home-dir /data undertone \
 && install -d -o undertone -g undertone -m 700 /data
COPY --from=build /opt/undertone /opt/undertone
USER 10001:10001
WORKDIR /data
VOLUME /data
ENV PATH=/opt/undertone/bin:$PATH PYTHONUNBUFFERED=1 UNDERTONE_HOST=0.0.0.0 UNDERTONE_DATA_DIR=/data PORT=8080
EXPOSE 8080
HEALTHCHECK --start-period=30s --interval=30s --timeout=5s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health/ready', timeout=4)"]
ENTRYPOINT ["undertone"]
CMD ["run"]
