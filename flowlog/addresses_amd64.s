#include "textflag.h"

// Of 16 characters: what makes digits their values;
DATA zeros16<>+0(SB)/8, $0x3030303030303030
DATA zeros16<>+8(SB)/8, $0x3030303030303030
GLOBL zeros16<>(SB), RODATA|NOPTR, $16

// what '.' and ',' are then, each behind three digits, and where they are;
DATA separators<>+0(SB)/8, $0x1E0000001E000000
DATA separators<>+8(SB)/8, $0x1C0000001E000000
GLOBL separators<>(SB), RODATA|NOPTR, $16

DATA separatorsOnly<>+0(SB)/8, $0xFF000000FF000000
DATA separatorsOnly<>+8(SB)/8, $0xFF000000FF000000
GLOBL separatorsOnly<>(SB), RODATA|NOPTR, $16

// what digits count,
DATA weights<>+0(SB)/8, $0x00010A6400010A64
DATA weights<>+8(SB)/8, $0x00010A6400010A64
GLOBL weights<>(SB), RODATA|NOPTR, $16

DATA ones16<>+0(SB)/8, $0x0001000100010001
DATA ones16<>+8(SB)/8, $0x0001000100010001
GLOBL ones16<>(SB), RODATA|NOPTR, $16

// and the largest number.
DATA largest<>+0(SB)/8, $0x000000FF000000FF
DATA largest<>+8(SB)/8, $0x000000FF000000FF
GLOBL largest<>(SB), RODATA|NOPTR, $16

// ADDRESS reads the address at SI, whose marks are BX, into out. DX is where it ends.
// X7 is not 0 any more if a separator is another one, or a number too small or too large.
#define ADDRESS(out) \
	LEAQ      -1(BX), AX \
	ANDQ      BX, AX \
	LEAQ      -1(AX), CX \
	ANDQ      CX, AX \
	LEAQ      -1(AX), CX \
	ANDQ      CX, AX \ // without the first three marks
	JZ        bad \
	BSFQ      AX, DX \
	LEAQ      -1(AX), CX \
	XORQ      AX, CX \
	ANDQ      BX, CX \ // the first four marks alone
	IMUL3L    $0x372da969, CX, R9 \ // shapeHash
	SHRL      $24, R9 \
	SHLL      $6, R9 \
	CMPL      CX, 32(R8)(R9*1) \
	JNE       bad \
	MOVOU     (SI), X0 \
	PXOR      X6, X0 \
	MOVOU     (R8)(R9*1), X1 \
	PSHUFB    X1, X0 \
	PXOR      X5, X0 \
	MOVO      X0, X1 \
	PAND      X8, X1 \
	POR       X1, X7 \
	PMADDUBSW X4, X0 \
	PMADDWL   X3, X0 \
	MOVOU     16(R8)(R9*1), X1 \
	PCMPGTL   X0, X1 \
	POR       X1, X7 \
	MOVO      X0, X1 \
	PCMPGTL   X2, X1 \
	POR       X1, X7 \
	PACKSSLW  X0, X0 \
	PACKUSWB  X0, X0 \
	MOVL      X0, out \
	BSWAPL    out

// func addressPair(b unsafe.Pointer, marked uint64, shapes *[256]shape) (source, destination uint32, end uint64)
TEXT ·addressPair(SB), NOSPLIT, $0-40
	MOVQ  b+0(FP), SI
	MOVQ  marked+8(FP), BX
	MOVQ  shapes+16(FP), R8
	MOVOU zeros16<>(SB), X6
	MOVOU separators<>(SB), X5
	MOVOU separatorsOnly<>(SB), X8
	MOVOU weights<>(SB), X4
	MOVOU ones16<>(SB), X3
	MOVOU largest<>(SB), X2
	PXOR  X7, X7

	ADDRESS(R10)
	LEAQ    1(DX), CX
	SHRQ    CX, BX
	ADDQ    CX, SI
	MOVQ    CX, R12

	ADDRESS(R11)
	ADDQ     R12, DX
	PXOR     X0, X0
	PCMPEQB  X0, X7
	PMOVMSKB X7, AX
	CMPL     AX, $0xFFFF
	JNE      bad
	MOVL     R10, source+24(FP)
	MOVL     R11, destination+28(FP)
	MOVQ     DX, end+32(FP)
	RET

bad:
	MOVL $0, source+24(FP)
	MOVL $0, destination+28(FP)
	MOVQ $0, end+32(FP)
	RET
