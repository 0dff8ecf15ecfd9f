// Several tensors of SIZES numbers, cut into pieces: one is a chunk.

struct piece {
    long tensor, first, length;
};

INLINE struct piece piece_of(long chunk) {
    static const long sizes[] = {SIZES};
    long tensor = 0;
    for (; chunk >= PARTS(sizes[tensor], PIECE); tensor++) chunk -= PARTS(sizes[tensor], PIECE);
    long first = chunk * PIECE;
    return (struct piece){tensor, first, MIN(PIECE, sizes[tensor] - first)};
}
