#include "eviction.h"

#include <stdlib.h>
#include <string.h>

#include "hashindex.h"

/* Entries compared for each eviction. */
#define SAMPLE 24
/* One part in so many of a stripe's entries is in the window. */
#define WINDOW_SHARE 100
/* Of so many stripes one always judges by frequency and one always by recency. */
#define LEADERS 16
#define DUEL_LIMIT 384
/* The worth of one access just after a halving. */
#define UNIT 256

#define BLOCK_BYTES 64
#define COUNTERS 128 /* of four bits, in a block */
#define ROWS 4

/* ---------------------------------------------------------------- which judgement: set dueling (Qureshi et al., 2007)
 *
 * Where popularity lasts, frequency over a long time judges best; where it shifts, what was not asked for lately is
 * best taken for dead. Some stripes always do the one and some always the other, and the rest follow those that had to
 * store fewer entries anew: keys are spread by a hash, so their loads are alike. A key that the sketch does not know is
 * no judge's fault: were it counted, a scan would make the duel a random walk.
 */
typedef struct judgement {
    int32_t sweep;   /* accesses for each entry between two visits to a bucket */
    int32_t sweeps;  /* visits between two halvings */
    uint32_t stale;  /* worth of what was not asked for since the last visit but one is shifted right by so much */
    uint32_t margin; /* by which a new entry must be worth more */
} judgement;

static const judgement BY_FREQUENCY = {12, 1, 0, 3 * UNIT / 2};
static const judgement BY_RECENCY = {1, 10, 4, UNIT / 2};

static uint32_t team_of(const striate_stripe *stripe) {
    return (uint32_t)(stripe - stripe->table->stripes) % LEADERS;
}

static const judgement *judgement_of(const striate_stripe *stripe) {
    uint32_t team = team_of(stripe);

    if (stripe->table->policy != STRIATE_ADAPTIVE)
        return stripe->table->policy == STRIATE_BY_RECENCY ? &BY_RECENCY : &BY_FREQUENCY;
    if (stripe->table->stripe_count < LEADERS || team == 0)
        return &BY_FREQUENCY;
    if (team == 1 || __atomic_load_n(&stripe->table->duel, __ATOMIC_RELAXED) > 0)
        return &BY_RECENCY;
    return &BY_FREQUENCY;
}

/* A leader had to store an entry that it has had before: a point for the other side. */
static void note_miss(striate_stripe *stripe) {
    int32_t *duel = &stripe->table->duel;
    uint32_t team = team_of(stripe);

    if (team == 0 && __atomic_load_n(duel, __ATOMIC_RELAXED) < DUEL_LIMIT)
        __atomic_fetch_add(duel, 1, __ATOMIC_RELAXED);
    if (team == 1 && __atomic_load_n(duel, __ATOMIC_RELAXED) > -DUEL_LIMIT)
        __atomic_fetch_sub(duel, 1, __ATOMIC_RELAXED);
}

/* ---------------------------------------------------------------- the sketch: what is remembered of absent keys
 *
 * A count-min sketch whose counters for one hash lie in one cache line. Its blocks are in the order of the home buckets
 * of the index, so that both are halved at the same time and their frequencies can be compared.
 */
static uint8_t *block_of(const striate_stripe *stripe, uint64_t hash) {
    uint64_t home = (hash >> 16) & (STRIATE_SEGMENT_BUCKETS - 1);
    uint64_t number = (home << stripe->sketch_bits) | ((hash >> 23) & ((1u << stripe->sketch_bits) - 1));

    return stripe->sketch + number * BLOCK_BYTES;
}

static uint32_t counter_number(uint64_t hash, int row) {
    return (uint32_t)(((hash ^ hash >> 32) * 0x9E3779B97F4A7C15ull) >> (36 + 7 * row)) & (COUNTERS - 1);
}

static uint32_t counter(const uint8_t *block, uint32_t number) {
    return block[number >> 1] >> 4 * (number & 1) & 15;
}

static uint32_t smallest_counter(const uint8_t *block, uint64_t hash) {
    uint32_t smallest = 15;

    for (int row = 0; row < ROWS; row++) {
        uint32_t value = counter(block, counter_number(hash, row));

        smallest = value < smallest ? value : smallest;
    }
    return smallest;
}

/* Raises the hash's counters to at least `least`. */
static void raise_counters(uint8_t *block, uint64_t hash, uint32_t least) {
    for (int row = 0; row < ROWS; row++) {
        uint32_t number = counter_number(hash, row);
        uint8_t kept = block[number >> 1] & (number & 1 ? 0x0F : 0xF0);

        if (counter(block, number) < least)
            block[number >> 1] = (uint8_t)(kept | least << 4 * (number & 1));
    }
}

/* Two bytes for each entry that the stripe has had at once. Of two blocks made of one, both know what it knew. */
static void grow_sketch(striate_stripe *stripe) {
    uint64_t old = stripe->sketch ? (uint64_t)STRIATE_SEGMENT_BUCKETS << stripe->sketch_bits : 0;
    uint64_t blocks = old ? 2 * old : STRIATE_SEGMENT_BUCKETS;
    uint8_t *sketch = realloc(stripe->sketch, blocks * BLOCK_BYTES);

    if (!sketch)
        return; /* a smaller one judges worse, and that is all */
    if (!old)
        memset(sketch, 0, blocks * BLOCK_BYTES);
    for (uint64_t home = STRIATE_SEGMENT_BUCKETS; old && home--;) {
        uint64_t bytes = BLOCK_BYTES << stripe->sketch_bits;

        memmove(sketch + 2 * home * bytes, sketch + home * bytes, bytes);
        memcpy(sketch + (2 * home + 1) * bytes, sketch + 2 * home * bytes, bytes);
    }
    stripe->sketch = sketch;
    stripe->sketch_bits += old != 0;
}

uint8_t striate_access_new(striate_stripe *stripe, uint64_t hash, uint8_t flags) {
    uint8_t access = flags & STRIATE_TAGGED ? STRIATE_ACCESS_TAGGED : 0;
    uint32_t known = 1;

    if (!stripe->table->bounded)
        return access | 1;
    if (!stripe->sketch || stripe->entries >> (12 + stripe->sketch_bits))
        grow_sketch(stripe);
    if (stripe->sketch) {
        known = smallest_counter(block_of(stripe, hash), hash);
        if (known)
            note_miss(stripe);
        known += known < STRIATE_FREQUENCY;
        raise_counters(block_of(stripe, hash), hash, known);
    }
    striate_aging_clock(stripe);
    return (uint8_t)(access | STRIATE_IN_WINDOW | STRIATE_RECENT | known);
}

/* ---------------------------------------------------------------- fading */

/* Eight access bytes at once: what was lately asked for becomes what was before, and frequencies are halved. */
static void visit_bucket(striate_bucket *bucket, int halve) {
    uint64_t access;

    memcpy(&access, bucket->access, sizeof access);
    if (halve)
        access = (access & 0xF0F0F0F0F0F0F0F0ull) | (access >> 1 & 0x0707070707070707ull);
    access = (access & 0x3F3F3F3F3F3F3F3Full) | (access & 0x4040404040404040ull) << 1;
    memcpy(bucket->access, &access, sizeof access);
}

static void halve_sketch(striate_stripe *stripe, uint32_t home) {
    uint64_t bytes = BLOCK_BYTES << stripe->sketch_bits;
    uint8_t *from = stripe->sketch + home * bytes;

    for (uint64_t place = 0; place < bytes; place += 8) {
        uint64_t nibbles;

        memcpy(&nibbles, from + place, 8);
        nibbles = nibbles >> 1 & 0x7777777777777777ull;
        memcpy(from + place, &nibbles, 8);
    }
}

/* Visits one bucket: the same of every segment in turn, then what of the sketch goes with it, then the next. */
void striate_age(striate_stripe *stripe) {
    const judgement *judgement = judgement_of(stripe);
    int64_t buckets = (int64_t)stripe->segments * STRIATE_SEGMENT_BUCKETS;
    striate_bucket *segment = striate_index_walk(stripe, &stripe->aging_place);
    int halve = stripe->aging_round % (uint32_t)judgement->sweeps == 0;

    stripe->aging_due += 1 + (int32_t)(judgement->sweep * stripe->entries / (buckets ? buckets : 1));
    if (segment) {
        visit_bucket(&segment[stripe->aging_bucket], halve);
        return;
    }
    if (stripe->sketch && halve)
        halve_sketch(stripe, stripe->aging_bucket);
    stripe->aging_place = 0;
    if (++stripe->aging_bucket == STRIATE_SEGMENT_BUCKETS) {
        stripe->aging_bucket = 0;
        stripe->aging_round++;
    }
}

/* ---------------------------------------------------------------- the window: a ring of references */

static striate_place place_of(striate_stripe *stripe, uint32_t ref) {
    striate_entry *entry = striate_entry_at(stripe, ref);
    striate_key key = {striate_entry_key(entry), 0, entry->key_size, entry->space, 0};
    striate_place place;

    key.hash = striate_table_hash(stripe->table, key.bytes, key.size, key.space);
    striate_stripe_find(stripe, &key, &place);
    return place;
}

static uint8_t *access_at(striate_place place) {
    return &place.bucket->access[place.slot];
}

/* Takes the oldest entry out of the window; the caller clears its bit, or removes it. */
static striate_place window_pop(striate_stripe *stripe) {
    uint32_t ref = 0;

    while (!ref && stripe->window_count) {
        ref = stripe->window[stripe->window_start];
        stripe->window_start = (stripe->window_start + 1) % stripe->window_capacity;
        stripe->window_count--;
    }
    return ref ? place_of(stripe, ref) : (striate_place){NULL, NULL, 0};
}

static uint32_t window_wanted(const striate_stripe *stripe) {
    return (uint32_t)(stripe->entries / WINDOW_SHARE) + 1;
}

static int grow_window(striate_stripe *stripe) {
    uint32_t capacity = stripe->window_capacity ? 2 * stripe->window_capacity : 16;
    uint32_t *window = malloc(capacity * sizeof *window);

    if (!window)
        return 0;
    for (uint32_t number = 0; number < stripe->window_count; number++)
        window[number] = stripe->window[(stripe->window_start + number) % stripe->window_capacity];
    free(stripe->window);
    stripe->window = window;
    stripe->window_start = 0;
    stripe->window_capacity = capacity;
    return 1;
}

void striate_window_add(striate_stripe *stripe, uint32_t ref) {
    if (!stripe->table->bounded)
        return;
    while (stripe->window_count >= window_wanted(stripe)) {
        striate_place place = window_pop(stripe);

        if (place.bucket)
            *access_at(place) &= (uint8_t)~STRIATE_IN_WINDOW;
    }
    if (stripe->window_count == stripe->window_capacity && !grow_window(stripe)) {
        *access_at(place_of(stripe, ref)) &= (uint8_t)~STRIATE_IN_WINDOW;
        return;
    }
    stripe->window[(stripe->window_start + stripe->window_count++) % stripe->window_capacity] = ref;
}

void striate_window_replace(striate_stripe *stripe, uint32_t ref, uint32_t new_ref) {
    for (uint32_t number = 0; number < stripe->window_count; number++) {
        uint32_t *place = &stripe->window[(stripe->window_start + number) % stripe->window_capacity];

        if (*place == ref)
            *place = new_ref;
    }
}

/* ---------------------------------------------------------------- eviction */

/* The segment under the hand; NULL only where there is none. */
static striate_bucket *hand_segment(striate_stripe *stripe, uint32_t *next_place) {
    striate_bucket *segment;

    *next_place = stripe->hand_place;
    segment = striate_index_walk(stripe, next_place);
    if (segment)
        return segment;
    *next_place = stripe->hand_place = stripe->hand_bucket = 0;
    return striate_index_walk(stripe, next_place);
}

/* What one access is worth in a bucket: the longer ago the bucket was halved, the less. At a steady rate of accesses a
 * frequency doubles between two halvings; divided by that it stands still. */
static uint32_t access_worth(const striate_stripe *stripe, const judgement *judgement, uint32_t number) {
    uint32_t sweeps = (uint32_t)judgement->sweeps;
    uint32_t since = sweeps == 1 ? 0 : (stripe->aging_round + sweeps - (number >= stripe->aging_bucket)) % sweeps;
    uint32_t whole = STRIATE_SEGMENT_BUCKETS * sweeps;

    since = since * STRIATE_SEGMENT_BUCKETS + ((stripe->aging_bucket - number) & (STRIATE_SEGMENT_BUCKETS - 1));
    return UNIT * whole / (whole + since);
}

/* What an entry outside the window is worth. The margin is for being there: else an endless loop of keys, all equally
 * frequent, would drive each other out. */
static inline uint32_t worth_of(uint8_t access, uint32_t each, const judgement *judgement) {
    uint32_t worth = (access & STRIATE_FREQUENCY) * each;

    if (judgement->stale && !(access & (STRIATE_RECENT | STRIATE_BEFORE)))
        return worth >> judgement->stale;
    return worth + judgement->margin;
}

/* The slots of a bucket that hold an entry outside the window, a bit for each. */
static inline uint32_t standing(const striate_bucket *bucket, uint32_t protected_ref) {
#ifdef __SSE2__
    __m128i none = _mm_setzero_si128();
    __m128i kept = _mm_set1_epi32((int)protected_ref);
    __m128i low = _mm_load_si128((const __m128i *)bucket->ref);
    __m128i high = _mm_load_si128((const __m128i *)(bucket->ref + 4));
    __m128i window = _mm_slli_epi16(_mm_loadl_epi64((const __m128i *)bucket->access), 3); /* its bit in front */

    low = _mm_or_si128(_mm_cmpeq_epi32(low, none), _mm_cmpeq_epi32(low, kept));
    high = _mm_or_si128(_mm_cmpeq_epi32(high, none), _mm_cmpeq_epi32(high, kept));
    low = _mm_packs_epi16(_mm_packs_epi32(low, high), none);
    return ~(uint32_t)_mm_movemask_epi8(_mm_or_si128(low, window)) & 0xFF;
#else
    uint32_t found = 0;

    for (uint32_t slot = 0; slot < STRIATE_SLOTS; slot++) {
        uint32_t ref = bucket->ref[slot];

        found |= (uint32_t)(ref && ref != protected_ref && !(bucket->access[slot] & STRIATE_IN_WINDOW)) << slot;
    }
    return found;
#endif
}

_Static_assert(STRIATE_IN_WINDOW << 3 == 0x80, "standing counts on it");

/* The entry of least worth among some outside the window; its worth, or UINT32_MAX where there is none. The hand goes
 * through the buckets of a segment in turn. */
static uint32_t find_victim(striate_stripe *stripe, uint32_t protected_ref, striate_place *victim) {
    const judgement judgement = *judgement_of(stripe);
    uint32_t least = UINT32_MAX;
    uint32_t seen = 0;

    for (uint64_t left = (uint64_t)stripe->segments * STRIATE_SEGMENT_BUCKETS; left && seen < SAMPLE;) {
        uint32_t next_place;
        striate_bucket *segment = hand_segment(stripe, &next_place);
        uint32_t number = stripe->hand_bucket;

        for (; number < STRIATE_SEGMENT_BUCKETS && left && seen < SAMPLE; number++, left--) {
            uint32_t each = access_worth(stripe, &judgement, number);
            uint32_t found;

            for (found = standing(&segment[number], protected_ref); found; found &= found - 1, seen++) {
                uint32_t slot = (uint32_t)__builtin_ctz(found);
                uint32_t worth = worth_of(segment[number].access[slot], each, &judgement);

                if (worth < least) {
                    least = worth;
                    *victim = (striate_place){&segment[number], segment, slot};
                }
            }
        }
        stripe->hand_bucket = number % STRIATE_SEGMENT_BUCKETS;
        if (number == STRIATE_SEGMENT_BUCKETS)
            stripe->hand_place = next_place;
    }
    return least;
}

static void evict(striate_stripe *stripe, striate_place place) {
    striate_entry *entry = striate_entry_at(stripe, place.bucket->ref[place.slot]);
    uint64_t hash;

    if (stripe->sketch) {
        hash = striate_table_hash(stripe->table, striate_entry_key(entry), entry->key_size, entry->space);
        raise_counters(block_of(stripe, hash), hash, *access_at(place) & STRIATE_FREQUENCY);
    }
    striate_stripe_remove(stripe, place, STRIATE_EVICTED);
}

int striate_evict_one(striate_stripe *stripe, uint32_t protected_ref) {
    striate_place victim = {NULL, NULL, 0};
    uint32_t least = find_victim(stripe, protected_ref, &victim);

    while (!victim.bucket || stripe->window_count >= window_wanted(stripe)) {
        striate_place candidate = window_pop(stripe);
        uint32_t worth;

        if (!candidate.bucket)
            break;
        *access_at(candidate) &= (uint8_t)~STRIATE_IN_WINDOW;
        if (candidate.bucket->ref[candidate.slot] == protected_ref)
            continue;
        worth = (*access_at(candidate) & STRIATE_FREQUENCY) *
                access_worth(stripe, judgement_of(stripe), (uint32_t)(candidate.bucket - candidate.segment));
        if (worth <= least)
            victim = candidate;
        break;
    }
    if (!victim.bucket)
        return 0;
    evict(stripe, victim);
    return 1;
}
