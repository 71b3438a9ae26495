//go:build !amd64 && !arm64

package starts

// prefetch does nothing: Go has no way to say it.
func prefetch([]set, *[askedAtOnce]hash) {}
