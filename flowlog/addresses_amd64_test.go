package flowlog

// eachWay calls f once for each of the ways in which this processor can read tuples.
func eachWay(f func()) {
	f()
	if vectorAddresses {
		vectorAddresses = false
		f()
		vectorAddresses = true
	}
}
