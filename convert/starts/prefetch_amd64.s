#include "textflag.h"

// func prefetchSets(table *set, mask uint64, hashes *[askedAtOnce]hash)
TEXT ·prefetchSets(SB), NOSPLIT, $0-24
	MOVQ table+0(FP), DI
	MOVQ mask+8(FP), DX
	MOVQ hashes+16(FP), SI
	MOVQ $16, CX // askedAtOnce

next:
	MOVQ       (SI), AX
	ANDQ       DX, AX
	SHLQ       $6, AX // the size of a set
	PREFETCHT0 (DI)(AX*1)
	ADDQ       $8, SI
	DECQ       CX
	JNZ        next
	RET
