package sourcetest

import (
	"testing"

	"flow2ipfix/source"
)

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) (source.Backend, Writer) {
		m := new(Memory)
		return m, m
	})
}
