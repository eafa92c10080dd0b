// Pins the version, and with go.sum the content, of the MongoDB server that .ci/run builds.
module piata/ci/ferretdb

go 1.24

require github.com/FerretDB/FerretDB v1.24.2
