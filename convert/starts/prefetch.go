//go:build amd64 || arm64

package starts

// prefetch asks for the sets of hashes, without waiting for them: a load would not
// only wait itself but keep the processor, some four of them later, from starting
// more.
func prefetch(table []set, hashes *[askedAtOnce]hash) {
	prefetchSets(&table[0], uint64(len(table)-1), hashes)
}

//go:noescape
func prefetchSets(table *set, mask uint64, hashes *[askedAtOnce]hash)
