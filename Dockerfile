# The gateway as an image: buildah build -t cachegate . (or docker build). Runs as 65532 on a read-only root; nothing is
# written but what the configuration names. Another base needs the same libraries: build-arg BASE.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY conf/packages conf/install-packages conf/
# python3 and curl are for the quickstart.
RUN sed -i '/^python3$/d; /^curl$/d' conf/packages && conf/install-packages conf/packages
RUN apt-get install -y --no-install-recommends dpkg-dev file
COPY CMakeLists.txt CMakePresets.json LICENSE ./
COPY packaging packaging
COPY include include
COPY rules rules
COPY gateway gateway
RUN cmake --preset release -DCACHEGATE_PACKAGE=ON && cmake --build --preset release && \
    cd build/release && cpack -G DEB && mv *.deb /cachegate.deb

FROM ${BASE}
COPY --from=build /cachegate.deb /tmp/
# Its own configuration is the operator's to mount.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates /tmp/cachegate.deb && \
    rm -rf /tmp/cachegate.deb /var/lib/apt/lists/* /etc/default/cachegate /lib/systemd/system/cachegate.service
LABEL org.opencontainers.image.title="cachegate" \
      org.opencontainers.image.description="Caching gateway in front of an HTTP API" \
      org.opencontainers.image.licenses="MIT"
USER 65532:65532
STOPSIGNAL SIGTERM
EXPOSE 8080 9090
ENTRYPOINT ["/usr/bin/cachegate"]
CMD ["run", "-c", "/etc/cachegate/cachegate.yaml"]
