//go:build !amd64

package flowlog

func markNumbers(text, ends, above []byte) { markNumbersGo(text, ends, above) }

func markByte(text, is []byte, b byte) { markByteGo(text, is, b) }
