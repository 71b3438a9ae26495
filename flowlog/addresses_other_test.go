//go:build !amd64

package flowlog

func eachWay(f func()) { f() }
