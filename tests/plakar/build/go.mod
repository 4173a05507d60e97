// Builds the real plakar for the tests: go build -mod=mod github.com/PlakarKorp/plakar
module plakar-for-tests

go 1.25.0

require github.com/PlakarKorp/plakar v1.1.4

// Not served by Go's module proxy, and used by plakar's web interface only.
replace go.omarpolo.com/ttlmap => ./ttlmap
