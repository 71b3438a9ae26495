#include "textflag.h"

// func prefetchSets(table *set, mask uint64, hashes *[askedAtOnce]hash)
TEXT ·prefetchSets(SB), NOSPLIT, $0-24
	MOVD table+0(FP), R0
	MOVD mask+8(FP), R1
	MOVD hashes+16(FP), R2
	MOVD $16, R3 // askedAtOnce

next:
	MOVD.P 8(R2), R4
	AND    R1, R4, R4
	ADD    R4<<6, R0, R4 // the size of a set
	PRFM   (R4), PLDL1KEEP
	SUBS   $1, R3, R3
	BNE    next
	RET
