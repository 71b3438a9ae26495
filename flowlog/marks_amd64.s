#include "textflag.h"

// 16 bytes at i of the text become two bytes of each bitmap. Bytes are compared as
// signed numbers, for which those from 0x80 on are below '0'.
#define MARK(i) \
	MOVOU    i(SI), X0 \
	MOVO     X2, X1 \
	PCMPGTB  X0, X1 \ // '0' > byte
	PCMPGTB  X3, X0 \ // byte > '9'
	PMOVMSKB X1, AX \
	PMOVMSKB X0, BX \
	MOVW     AX, (i/8)(DI) \
	MOVW     BX, (i/8)(DX)

// func markNumbers(text, ends, above []byte)
TEXT ·markNumbers(SB), NOSPLIT, $0-72
	MOVQ       text_base+0(FP), SI
	MOVQ       text_len+8(FP), CX
	MOVQ       ends_base+24(FP), DI
	MOVQ       above_base+48(FP), DX
	MOVQ       $0x3030303030303030, AX // '0'
	MOVQ       AX, X2
	PUNPCKLQDQ X2, X2
	MOVQ       $0x3939393939393939, AX // '9'
	MOVQ       AX, X3
	PUNPCKLQDQ X3, X3
	SHRQ       $6, CX
	JZ         done

loop:
	MARK(0)
	MARK(16)
	MARK(32)
	MARK(48)
	ADDQ $64, SI
	ADDQ $8, DI
	ADDQ $8, DX
	DECQ CX
	JNZ  loop

done:
	RET

// func markByte(text, is []byte, b byte)
TEXT ·markByte(SB), NOSPLIT, $0-49
	MOVQ       text_base+0(FP), SI
	MOVQ       text_len+8(FP), CX
	MOVQ       is_base+24(FP), DI
	MOVBQZX    b+48(FP), AX
	MOVQ       $0x0101010101010101, BX
	IMULQ      BX, AX
	MOVQ       AX, X2
	PUNPCKLQDQ X2, X2
	SHRQ       $4, CX
	JZ         done

loop:
	MOVOU    (SI), X0
	PCMPEQB  X2, X0
	PMOVMSKB X0, AX
	MOVW     AX, (DI)
	ADDQ     $16, SI
	ADDQ     $2, DI
	DECQ     CX
	JNZ      loop

done:
	RET
