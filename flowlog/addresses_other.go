//go:build !amd64

package flowlog

const vectorAddresses = false

func addresses4(text, uint64) (source, destination uint32, end uint64) { return 0, 0, 0 }
