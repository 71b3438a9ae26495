//go:build race

package largepages

// largeHere says whether Make asks for large pages.
const largeHere = false
