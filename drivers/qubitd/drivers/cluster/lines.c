/* The inner loops over what one line of a chunk plays, each the same as the one in NumPy beside which its module calls it.
 * Plain C: no header of Python, no library but the mathematical one. The caller (`native.py`) gives whole columns. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TURN INT64_C(1000000000)
#define UNITS (4 * TURN) /* quarter nanoturns of a turn */
#define TWO_PI 6.283185307179586
#define GAIN_STEPS 32768.0
#define BOXCAR (-1)

#define SHORTEST 4
#define LONGEST 65535
#define BEFORE_LOOP 1000
#define PIECE (LONGEST + 1 - BEFORE_LOOP)
#define LOOP_FROM 4

enum { BEGIN, OPEN, PLAY, ACQUIRE, CLOSE };

static int64_t modulo(int64_t value, int64_t modulus) {
  int64_t rest = value % modulus;
  return rest < 0 ? rest + modulus : rest;
}

static int64_t nearest(double value) { return (int64_t)floor(value + 0.5); }

/* Whether a play breaks any of the rules of `play_problems`, which then says what is wrong. */
int64_t qubitd_plays_offend(int64_t count, const int64_t *program, const int64_t *start, const int64_t *length,
                            const int64_t *envelope, const double *amplitude, const double *phase,
                            const double *frequency, const int64_t *duration, const int64_t *envelope_length,
                            const double *envelope_peak, const uint8_t *envelope_is_complex, int64_t is_rf,
                            const double *lo_and_most /* Hz */, double const *rounding) {
  for (int64_t i = 0; i < count; i++) {
    int64_t e = envelope[i], end = start[i] + length[i];
    if (!(fabs(amplitude[i]) <= 1) || !isfinite(phase[i])) return 1;
    if (envelope_peak[e] > 1 + *rounding || envelope_length[e] != length[i]) return 1;
    if (start[i] < 0 || start[i] > duration[program[i]] - length[i]) return 1;
    if (i + 1 < count && program[i + 1] == program[i] && end > start[i + 1]) return 1;
    if (is_rf ? !(fabs(frequency[i] - lo_and_most[0]) <= lo_and_most[1])
              : (frequency[i] != 0 || envelope_is_complex[e] || phase[i] != 0))
      return 1;
  }
  return 0;
}

/* What a line carries: sums by program of power, real and imaginary part (each `programs` long, all 0 before), and the
 * loudest and steepest play. `facts` has peak, energy, area (real, imaginary) and largest step of each envelope. */
int64_t qubitd_exertion(int64_t count, const int64_t *program, const int64_t *envelope, const int64_t *gain_register,
                        const double *facts, double *power, double *real, double *imag, double *most) {
  most[0] = most[1] = 0;
  for (int64_t i = 0; i < count; i++) {
    const double *own = facts + 5 * envelope[i];
    double gain = (double)gain_register[i] / GAIN_STEPS, size = fabs(gain);
    power[program[i]] += gain * gain * own[1];
    real[program[i]] += gain * own[2];
    imag[program[i]] += gain * own[3];
    if (size * own[0] > most[0]) most[0] = size * own[0];
    if (size * own[4] > most[1]) most[1] = size * own[4];
  }
  return 0;
}

/* The oscillator's registers at each event, in the order of program and tick; see `tone_registers`, whose names these are.
 * `hertz` is measured from the local oscillator. Gives whether any event needs another frequency than the first. */
int64_t qubitd_tones(int64_t count, const int64_t *program, const int64_t *tick, const double *hertz,
                     const double *phase, const uint8_t *is_play, int64_t lead, int64_t *frequency, int64_t *sets,
                     int64_t *held, int64_t *ahead, uint8_t *first, uint8_t *sets_frequency) {
  int64_t gathered = 0, last = 0, changes = 0;
  for (int64_t i = 0; i < count; i++) {
    frequency[i] = nearest(hertz[i] * 4);
    first[i] = i == 0 || program[i] != program[i - 1];
    int64_t before = first[i] ? frequency[i] : frequency[i - 1];
    int64_t elapsed = first[i] ? tick[i] + lead : tick[i] - tick[i - 1];
    int64_t steps = modulo(before * modulo(elapsed, UNITS), UNITS);
    gathered = first[i] ? steps : modulo(gathered + steps, UNITS);
    last = first[i] ? 0 : last;
    sets_frequency[i] = frequency[i] != before;
    changes |= frequency[i] != frequency[0];
    ahead[i] = modulo(modulo(frequency[i] * modulo(tick[i], UNITS), UNITS) - gathered, UNITS);
    double turns = phase[i] / TWO_PI;
    turns -= floor(turns);
    sets[i] = nearest(turns * (double)TURN + (double)ahead[i] / 4) % TURN;
    held[i] = last;
    if (is_play[i]) last = sets[i];
  }
  return changes;
}

/* Put events of several kinds, each in the order of time, into one; of those at the same time the kind that stands first
 * in `kinds` comes first. `bounds` says where each kind begins in `times` and `programs`. Gives 1 if one is out of order. */
int64_t qubitd_merge(int64_t kinds, const int8_t *kind, const int64_t *bounds, const int64_t *times,
                     const int64_t *programs, int64_t total, int64_t *next, int8_t *out_kind, int64_t *out_row,
                     int64_t *out_program, int64_t *out_time, int64_t *out_gap) {
  int64_t count = bounds[kinds];
  for (int64_t k = 0; k < kinds; k++) {
    next[k] = bounds[k];
    for (int64_t i = bounds[k] + 1; i < bounds[k + 1]; i++)
      if (times[i] < times[i - 1]) return 1;
  }
  for (int64_t i = 0; i < count; i++) {
    int64_t best = -1;
    for (int64_t k = 0; k < kinds; k++)
      if (next[k] < bounds[k + 1] && (best < 0 || times[next[k]] < times[next[best]])) best = k;
    int64_t from = next[best]++;
    out_kind[i] = kind[best];
    out_row[i] = from - bounds[best];
    out_program[i] = programs[from];
    out_time[i] = times[from];
    if (i > 0) out_gap[i - 1] = times[from] - out_time[i - 1];
  }
  if (count) out_gap[count - 1] = total - out_time[count - 1];
  return 0;
}

/* Whether an event breaks any of the rules of `timeline_problems`. `latest` is, after a program's begin, the last tick at
 * which a switch may close: its duration and what `TAIL` leaves. */
int64_t qubitd_events_offend(int64_t count, const int8_t *kind, const int64_t *program, const int64_t *time,
                             const int64_t *gap, const int64_t *begin, int64_t lead, const int64_t *duration,
                             int64_t tail, int64_t longest) {
  if (count && time[0] > longest) return 1;
  for (int64_t i = 0; i < count; i++) {
    if (gap[i] < SHORTEST || gap[i] > longest) return 1;
    if (kind[i] == CLOSE && time[i] - begin[program[i]] - lead > duration[program[i]] + tail) return 1;
  }
  return 0;
}

/* How many instructions follow those that start these gaps: `extra_instructions`. */
int64_t qubitd_extra(int64_t count, const int64_t *gap) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t waits = (gap[i] + LONGEST - 1) / LONGEST - 1;
    sum += waits < LOOP_FROM ? waits : 3;
  }
  return sum;
}

typedef struct {
  char *at;
  const char *label;
  int64_t label_length;
} Text;

static void put(Text *text, const char *what) {
  while (*what) *text->at++ = *what++;
}

static void put_number(Text *text, int64_t value) {
  char digits[24];
  int count = 0;
  uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
  do digits[count++] = (char)('0' + rest % 10);
  while (rest /= 10);
  if (value < 0) *text->at++ = '-';
  while (count) *text->at++ = digits[--count];
}

static void put_line(Text *text, const char *what, int64_t value) {
  put(text, what);
  put_number(text, value);
  *text->at++ = '\n';
}

static void put_label(Text *text, int64_t event) {
  memcpy(text->at, text->label, (size_t)text->label_length);
  text->at += text->label_length;
  put_number(text, event);
}

/* How long the instruction waits that starts a gap, what comes directly behind it, and what waits the rest. */
static void put_wait(Text *text, int64_t gap, int64_t event, const char *behind) {
  int64_t pieces = (gap + LONGEST - 1) / LONGEST;
  if (pieces - 1 < LOOP_FROM) {
    int64_t shorter = gap / pieces, longer = gap % pieces;
    put_number(text, shorter + (longer > 0));
    *text->at++ = '\n';
    put(text, behind);
    for (int64_t k = 1; k < pieces; k++) put_line(text, "wait ", shorter + (k < longer));
    return;
  }
  int64_t turns = (gap - BEFORE_LOOP) / PIECE;
  put_number(text, gap - turns * PIECE);
  *text->at++ = '\n';
  put(text, behind);
  put(text, "move ");
  put_number(text, turns);
  put(text, ",R2\n");
  put_label(text, event);
  put_line(text, ": wait ", PIECE);
  put(text, "loop R2,@");
  put_label(text, event);
  *text->at++ = '\n';
}

/* What each event of a line without feedback writes, as `q1asm_events.event_texts` lays it out. Columns of an RF line are
 * NULL on others. Gives the length of the text; -1 if `room` may not hold it; -2 for a kind of event that is not known, or
 * a gap that is none. */
int64_t qubitd_events_text(int64_t count, const int8_t *kind, const int64_t *gap, const char *label,
                           int64_t label_length, const int64_t *envelope, const int64_t *real, const int64_t *imag,
                           const uint8_t *sets_gain, const int64_t *gain_real, const int64_t *gain_imag,
                           const int64_t *weight, const uint8_t *sets_weight, int64_t is_rf, int64_t changes,
                           int64_t marker, const int64_t *begin_frequency, const int64_t *play_frequency,
                           const uint8_t *play_sets_frequency, const int64_t *play_phase,
                           const uint8_t *play_sets_phase, const int64_t *acquisition_frequency,
                           const uint8_t *acquisition_sets_frequency, char *out, int64_t room) {
  Text text = {out, label, label_length};
  int64_t begins = 0, plays = 0, acquisitions = 0;
  for (int64_t i = 0; i < count; i++) {
    if (room - (text.at - out) < 320 + 2 * label_length) return -1;
    if (gap[i] < 1) return -2;
    const char *behind = "";
    switch (kind[i]) {
      case BEGIN:
        if (is_rf && changes) put_line(&text, "set_freq ", begin_frequency[begins]);
        begins++;
        if (is_rf) put(&text, "reset_ph\n");
        put(&text, "upd_param ");
        break;
      case OPEN:
        if (is_rf) put_line(&text, "set_mrk ", marker);
        put(&text, "upd_param ");
        break;
      case CLOSE:
        if (is_rf) put(&text, "set_mrk 0\n");
        put(&text, "upd_param ");
        break;
      case PLAY:
        if (is_rf && changes && play_sets_frequency[plays]) put_line(&text, "set_freq ", play_frequency[plays]);
        if (sets_gain[plays]) {
          put(&text, "set_awg_gain ");
          put_number(&text, gain_real[plays]);
          put_line(&text, ",", gain_imag[plays]);
        }
        if (is_rf && play_sets_phase[plays]) put_line(&text, "set_ph ", play_phase[plays]);
        put(&text, "play ");
        put_number(&text, real[envelope[plays]]);
        put(&text, ",");
        put_number(&text, imag[envelope[plays]]);
        put(&text, ",");
        plays++;
        break;
      case ACQUIRE:
        if (is_rf && acquisition_sets_frequency[acquisitions])
          put_line(&text, "set_freq ", acquisition_frequency[acquisitions]);
        if (is_rf && sets_weight[acquisitions]) {
          put(&text, "move ");
          put_number(&text, weight[acquisitions]);
          put(&text, ",R3\nnop\n");
        }
        put(&text, weight[acquisitions] == BOXCAR ? "acquire 0,R1," : "acquire_weighed 0,R1,R3,R3,");
        behind = "add R1,1,R1\nnop\n";
        acquisitions++;
        break;
      default:
        return -2;
    }
    put_wait(&text, gap[i], i, behind);
  }
  return text.at - out;
}
