# The image of one program of the shop, or of the setup program that runs before them:
#
#   docker build --build-arg SERVICE=catalog --tag piata/catalog:0.1.0 .
#   docker build --build-arg SERVICE=setup --build-arg FOLDER=packages/setup --tag piata/setup:0.1.0 .
#
# `npm run images` makes them all. Builds with BuildKit and with the classic builder of Docker 20.10.

# Any image with Node 26 and npm.
ARG BASE=node:26-bookworm-slim

# Only what npm reads, so that a change of the sources installs nothing anew.
FROM ${BASE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/contracts/package.json packages/contracts/
COPY packages/kit/package.json packages/kit/
COPY packages/setup/package.json packages/setup/
COPY packages/testkit/package.json packages/testkit/
COPY services/access/package.json services/access/
COPY services/cart/package.json services/cart/
COPY services/catalog/package.json services/catalog/
COPY services/discovery/package.json services/discovery/
COPY services/gateway/package.json services/gateway/
COPY services/order/package.json services/order/
COPY services/payment/package.json services/payment/

# BuildKit keeps npm's downloads from one build to the next in a cache mount. The classic builder
# fails at every RUN that has one, so that those wait as triggers in stages of their own, which only
# BuildKit goes on from: it alone sets TARGETARCH.
FROM packages AS tools
ONBUILD RUN npm ci --ignore-scripts

FROM packages AS tools-cached
ONBUILD RUN --mount=type=cache,id=piata-npm,target=/root/.npm npm ci --ignore-scripts

FROM packages AS parts
ONBUILD ARG SERVICE
ONBUILD ARG FOLDER=services/${SERVICE}
ONBUILD RUN npm ci --ignore-scripts --omit=dev --workspace "${FOLDER}"

FROM packages AS parts-cached
ONBUILD ARG SERVICE
ONBUILD ARG FOLDER=services/${SERVICE}
ONBUILD RUN --mount=type=cache,id=piata-npm,target=/root/.npm \
    npm ci --ignore-scripts --omit=dev --workspace "${FOLDER}"

# All programs, compiled; the same layers for every image.
FROM tools${TARGETARCH:+-cached} AS build
COPY tsconfig.json tsconfig.base.json ./
COPY packages packages
COPY services services
RUN node_modules/.bin/tsc -b \
 && rm -rf packages/*/src services/*/src packages/*/node_modules services/*/node_modules \
 && find packages services -type f \
    \( -name '*.test.*' -o -name '*.d.ts' -o -name '*.map' -o -name '*tsbuildinfo' \) -delete

# The one program with the packages that it runs on; no types, no source maps.
FROM parts${TARGETARCH:+-cached} AS production
ARG SERVICE
ARG FOLDER=services/${SERVICE}
COPY --from=build /app/packages/contracts packages/contracts
COPY --from=build /app/packages/kit packages/kit
COPY --from=build /app/${FOLDER} ${FOLDER}
RUN test -f "${FOLDER}/dist/main.js" \
 && find . -type f \( -name '*.d.ts' -o -name '*.d.[cm]ts' -o -name '*.map' \) -delete \
 && mkdir /owned \
 && if [ "${SERVICE}" = setup ]; then \
      for name in setup postgres mongo services/*; do mkdir -p "/owned/secrets/${name##*/}"; done; \
    fi

FROM ${BASE}
ARG SERVICE
ARG FOLDER=services/${SERVICE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="piata ${SERVICE}" \
      org.opencontainers.image.description="A program of piata, the backend of a shop." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production \
    PIATA_VERSION=${VERSION}
COPY --from=production /app /app
# Volumes that are mounted here for the first time are the setup program's to write.
COPY --from=production --chown=10001:10001 /owned /
WORKDIR /app/${FOLDER}
USER 10001:10001
# The port of /healthz in every container; /healthz says no while the program drains.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "require('node:http').get('http://127.0.0.1:8080/healthz', ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
ENTRYPOINT ["node"]
CMD ["dist/main.js"]
