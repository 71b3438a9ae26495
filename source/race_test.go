//go:build race

package source_test

// slowdown is how many times slower all is with the race detector.
const slowdown = 10
