//go:build !race

package source_test

const slowdown = 1
