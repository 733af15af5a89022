/* The inner loops of the compiler's passes, each the same as the one in NumPy beside which its module calls it. Plain C:
 * no header of Python, no library but the mathematical one. Every array is checked by the caller (`native.py`): columns
 * are whole, operands lie within the device and rows within their tables.
 *
 * Names of arguments are those of `Columns`, `Wires`, `Numbers`; a wire is circuit * num_qubits + qubit. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TURN 9007199254740992.0 /* steps of a turn: 2^53 */
#define MASK ((INT64_C(1) << 53) - 1)
#define MANY 4096.0 /* turns from which on NumPy takes another way */
#define TWO_PI 6.283185307179586

/* Where each operation's entries begin in a flat column: a sum of the arity of each of the `kinds` of opcodes. Gives -1
 * if there is another. */
int64_t qubitd_starts(int64_t count, const int64_t *opcode, int64_t kinds, const int64_t *arity, int64_t *start) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; i++) {
    if ((uint64_t)opcode[i] >= (uint64_t)kinds) return -1;
    start[i] = sum;
    sum += arity[opcode[i]];
  }
  start[count] = sum;
  return sum;
}

/* A number for each operation on its operands, and which of these numbers occur: opcode * scale, and the operands as
 * digits behind it; `scale` has the weight of each digit, the highest first. Gives -1 if there is another opcode than
 * these `kinds`, or an operand is not on the device. */
int64_t qubitd_codes(int64_t count, const int64_t *opcode, int64_t kinds, const int64_t *arity, const int64_t *qubits,
                     const int64_t *qubit_start, int64_t num_qubits, int64_t width, int64_t scale,
                     const int64_t *weight, uint8_t *occurs, int64_t *code) {
  for (int64_t i = 0; i < count; i++) {
    if ((uint64_t)opcode[i] >= (uint64_t)kinds) return -1;
    int64_t found = opcode[i] * scale, own = arity[opcode[i]];
    const int64_t *operand = qubits + qubit_start[i];
    if (own > width) own = width;
    for (int64_t k = 0; k < own; k++) {
      if ((uint64_t)operand[k] >= (uint64_t)num_qubits) return -1;
      found += operand[k] * weight[k];
    }
    code[i] = found;
    occurs[found] = 1;
  }
  return 0;
}

/* Operands along the wires: a counting sort. `begin` has room for every wire and one more, which tells whether the wires
 * ascend; gives how many are used, -1 if an operand is not on the device. */
int64_t qubitd_wires(int64_t count, const int64_t *circuit, const int64_t *qubits, const int64_t *qubit_start,
                     int64_t num_qubits, int64_t wires, int64_t *op, int64_t *wire, int64_t *order, int64_t *begin) {
  int64_t ascends = 1, before = 0;
  memset(begin, 0, (size_t)(wires + 1) * sizeof *begin);
  for (int64_t i = 0; i < count; i++)
    for (int64_t k = qubit_start[i]; k < qubit_start[i + 1]; k++) {
      if ((uint64_t)qubits[k] >= (uint64_t)num_qubits) return -1;
      op[k] = i;
      wire[k] = circuit[i] * num_qubits + qubits[k];
      begin[wire[k] + 1]++;
      ascends &= wire[k] >= before;
      before = wire[k];
    }
  for (int64_t w = 0; w < wires; w++) begin[w + 1] += begin[w];
  for (int64_t k = 0; k < qubit_start[count]; k++) order[begin[wire[k]]++] = k;
  int64_t used = 0, end = 0; /* each entry now says where its wire ends */
  for (int64_t w = 0; w < wires; w++) {
    int64_t stop = begin[w];
    if (stop > end) begin[used++] = end;
    end = stop;
  }
  begin[wires] = ascends;
  return used;
}

/* When each operation starts, as late as possible. `ready` has room for every wire, `duration` for every circuit. */
int64_t qubitd_schedule_late(int64_t count, const int64_t *circuit, const int64_t *qubits, const int64_t *qubit_start,
                             int64_t num_qubits, const int64_t *length, int64_t circuits, int64_t *ready,
                             int64_t *duration, int64_t *start) {
  memset(ready, 0, (size_t)(circuits * num_qubits) * sizeof *ready);
  memset(duration, 0, (size_t)circuits * sizeof *duration);
  for (int64_t i = count - 1; i >= 0; i--) {
    int64_t *own = ready + circuit[i] * num_qubits, end = 0;
    if (qubit_start[i] == qubit_start[i + 1]) { /* on no wire: nothing follows it, and it holds nothing up */
      start[i] = 0;
      continue;
    }
    for (int64_t k = qubit_start[i]; k < qubit_start[i + 1]; k++)
      if (own[qubits[k]] > end) end = own[qubits[k]];
    end += length[i];
    for (int64_t k = qubit_start[i]; k < qubit_start[i + 1]; k++) own[qubits[k]] = end;
    start[i] = end;
    if (end > duration[circuit[i]]) duration[circuit[i]] = end;
  }
  for (int64_t i = 0; i < count; i++) start[i] = duration[circuit[i]] - start[i];
  return 0;
}

static int steps_of(double radians, int64_t *steps) {
  double turns = radians / TWO_PI;
  if (!(turns <= MANY && turns >= -MANY)) return 0;
  turns -= rint(turns);
  turns *= TURN;
  *steps = (int64_t)rint(turns);
  return 1;
}

/* Constant + factors . angles of one entry, as `Angled.at`. */
static double angled(const double *constant, const double *factors, int64_t angles, int64_t entry, const double *param) {
  double value = constant[entry];
  for (int64_t k = 0; k < angles; k++) {
    double factor = factors[entry * angles + k];
    if (factor != 0) value += factor * param[k];
  }
  return value;
}

/* How far each operand finds its frame advanced; `sum` has room for every wire and ends with what each has at its end.
 * Gives whether any frame turns; -1 if an angle is so large that NumPy has to look at it. */
int64_t qubitd_frames(int64_t count, const int64_t *circuit, const int64_t *qubits, const int64_t *qubit_start,
                      int64_t num_qubits, int64_t wires, const int64_t *rows, const uint8_t *turns, int64_t width,
                      const double *constant, const double *factors, int64_t angles, const double *params,
                      const int64_t *param_start, int64_t *sum, int64_t *steps) {
  int64_t is_turned = 0;
  memset(sum, 0, (size_t)wires * sizeof *sum);
  for (int64_t i = 0; i < count; i++) {
    int64_t *own = sum + circuit[i] * num_qubits;
    for (int64_t k = qubit_start[i]; k < qubit_start[i + 1]; k++) steps[k] = own[qubits[k]];
    if (!turns[rows[i]]) continue;
    for (int64_t k = qubit_start[i]; k < qubit_start[i + 1]; k++) {
      int64_t place = k - qubit_start[i], shift;
      int64_t entry = rows[i] * width + (place < width ? place : width - 1);
      if (!steps_of(angled(constant, factors, angles, entry, params + param_start[i]), &shift)) return -1;
      own[qubits[k]] = (int64_t)((uint64_t)own[qubits[k]] + (uint64_t)shift); /* wraps */
      is_turned = 1;
    }
  }
  return is_turned;
}

/* How many entries all operations have. */
int64_t qubitd_total(int64_t count, const int64_t *rows, const int64_t *share_count) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; i++) sum += share_count[rows[i]];
  return sum;
}

/* Where the entries of operations `begin` to `end`, of one circuit, go line by line from `at` on; gives where they end. */
static int64_t places_of(int64_t begin, int64_t end, const int64_t *rows, const int64_t *first,
                         const int64_t *share_count, const uint16_t *line, int64_t lines, int64_t at, int64_t *place) {
  memset(place, 0, (size_t)lines * sizeof *place);
  for (int64_t i = begin; i < end; i++)
    for (int64_t e = first[rows[i]]; e < first[rows[i]] + share_count[rows[i]]; e++) place[line[e]]++;
  for (int64_t l = 0; l < lines; l++) {
    int64_t own = place[l];
    place[l] = at;
    at += own;
  }
  return at;
}

static int64_t end_of(int64_t circuit_index, int64_t begin, int64_t count, const int64_t *circuit) {
  while (begin < count && circuit[begin] == circuit_index) begin++;
  return begin;
}

/* What operations play or acquire, sorted by circuit and line, in their order on each; `order` is its place among those
 * of its circuit as they were. `place` has room for every line; `bounds` for every circuit and one more; `op`, `entry`
 * and `order` for every entry. */
int64_t qubitd_lay_out(int64_t count, const int64_t *circuit, int64_t circuits, const int64_t *rows,
                       const int64_t *first, const int64_t *share_count, const uint16_t *line, int64_t lines,
                       int64_t *place, int64_t *op, int64_t *entry, int64_t *order, int64_t *bounds) {
  int64_t begin = 0, done = 0;
  for (int64_t c = 0; c < circuits; c++) {
    int64_t end = end_of(c, begin, count, circuit), seen = 0;
    bounds[c] = done;
    done = places_of(begin, end, rows, first, share_count, line, lines, done, place);
    for (int64_t i = begin; i < end; i++)
      for (int64_t e = first[rows[i]]; e < first[rows[i]] + share_count[rows[i]]; e++) {
        int64_t to = place[line[e]]++;
        op[to] = i;
        entry[to] = e;
        order[to] = seen++;
      }
    begin = end;
  }
  bounds[circuits] = done;
  return done;
}

/* All columns of plays, sorted as above: what each entry of the table says, with the start of its operation, the phase of
 * its operand's frame, and what depends on angles. Gives -1 if an angle is so large that NumPy has to look at it. */
int64_t qubitd_plays(int64_t count, const int64_t *circuit, int64_t circuits, const int64_t *rows, const int64_t *first,
                     const int64_t *share_count, const int64_t *starts, const int64_t *qubit_start,
                     const int64_t *steps, const double *params, const int64_t *param_start, int64_t lines,
                     const uint16_t *line, const int64_t *length, const int32_t *envelope, const double *level,
                     const double *level_factors, int64_t level_angles, const double *phase,
                     const double *phase_factors, int64_t phase_angles, const double *frequency, const int16_t *frame,
                     const int64_t *position, int64_t *place, uint16_t *out_line, int64_t *out_start,
                     int64_t *out_length, int32_t *out_envelope, double *out_level, double *out_phase,
                     double *out_frequency, int16_t *out_frame, int64_t *bounds) {
  int64_t begin = 0, done = 0;
  for (int64_t c = 0; c < circuits; c++) {
    int64_t end = end_of(c, begin, count, circuit);
    bounds[c] = done;
    done = places_of(begin, end, rows, first, share_count, line, lines, done, place);
    for (int64_t i = begin; i < end; i++)
      for (int64_t e = first[rows[i]]; e < first[rows[i]] + share_count[rows[i]]; e++) {
        int64_t to = place[line[e]]++, own;
        const double *param = params + param_start[i];
        if (!steps_of(angled(phase, phase_factors, phase_angles, e, param), &own)) return -1;
        if (position[e] >= 0) own = (int64_t)((uint64_t)own + (uint64_t)steps[qubit_start[i] + position[e]]);
        out_line[to] = line[e];
        out_start[to] = starts[i];
        out_length[to] = length[e];
        out_envelope[to] = envelope[e];
        out_level[to] = angled(level, level_factors, level_angles, e, param);
        out_phase[to] = (double)(own & MASK) * (TWO_PI / TURN);
        out_frequency[to] = frequency[e];
        out_frame[to] = frame[e];
      }
    begin = end;
  }
  bounds[circuits] = done;
  return done;
}

/* Whether rows of programs stand sorted by line, follow each other on each and lie within their program; `verify` says
 * what is wrong. Where the last program ends is known to be right. */
static int follow(int64_t programs, const int64_t *bounds, const uint16_t *line, const int64_t *start,
                  const int64_t *length, const int64_t *duration, int64_t lines) {
  if (bounds[0] != 0) return 0;
  for (int64_t p = 0; p < programs; p++)
    if (bounds[p] > bounds[p + 1] || duration[p] < 0) return 0;
  for (int64_t p = 0; p < programs; p++)
    for (int64_t i = bounds[p]; i < bounds[p + 1]; i++) {
      if (line[i] >= lines || start[i] < 0 || length[i] < 1 || start[i] > duration[p] - length[i]) return 0;
      if (i == bounds[p] || line[i] > line[i - 1]) continue;
      if (line[i] < line[i - 1] || start[i] < start[i - 1] + length[i - 1]) return 0;
    }
  return 1;
}

/* Whether programs keep all rules of `verify` but the ceilings, and the loudest play of each line (`peak`, 0 before).
 * Envelopes have a length and a peak each; a kernel is one of them, or -1 for none. There may be several cases of one
 * program: then each has a duration, and a step says how far on the next case's column is, 0 if they share it. */
int64_t qubitd_verify(int64_t programs, int64_t cases, const int64_t *duration, const int64_t *num_clbits,
                      const int64_t *bounds, const uint16_t *line, const int64_t *start, const int64_t *length,
                      const int32_t *envelope, const double *amplitude, const double *phase, const double *frequency,
                      int64_t amplitude_step, int64_t phase_step, int64_t frequency_step,
                      const int64_t *acquisition_bounds, const uint16_t *acquisition_line,
                      const int64_t *acquisition_start, const int64_t *acquisition_length, const int32_t *clbit,
                      const int32_t *kernel, int64_t hidden, int64_t envelopes, const int64_t *envelope_length,
                      const double *envelope_peak, int64_t lines, double *peak) {
  for (int64_t c = 1; c < cases; c++)
    if (duration[c] != duration[0]) return 0;
  if (!follow(programs, bounds, line, start, length, duration, lines)) return 0;
  if (!follow(programs, acquisition_bounds, acquisition_line, acquisition_start, acquisition_length, duration, lines))
    return 0;
  for (int64_t i = bounds[0]; i < bounds[programs]; i++) {
    int64_t e = envelope[i];
    if (e < 0 || e >= envelopes || length[i] != envelope_length[e]) return 0;
  }
  for (int64_t c = 0; c < cases; c++, amplitude += amplitude_step, phase += phase_step, frequency += frequency_step)
    for (int64_t i = bounds[0]; i < bounds[programs]; i++) {
      if (!isfinite(amplitude[i]) || !isfinite(phase[i]) || !isfinite(frequency[i])) return 0;
      if (phase[i] != 0 && frequency[i] == 0) return 0;
      double loud = fabs(amplitude[i]) * envelope_peak[envelope[i]];
      if (!isfinite(loud)) return 0;
      if (loud > peak[line[i]]) peak[line[i]] = loud;
    }
  for (int64_t p = 0; p < programs; p++)
    for (int64_t i = acquisition_bounds[p]; i < acquisition_bounds[p + 1]; i++) {
      if (clbit[i] < hidden || clbit[i] >= num_clbits[p]) return 0;
      if (kernel[i] < -1 || kernel[i] >= envelopes) return 0;
      if (kernel[i] >= 0 && acquisition_length[i] != envelope_length[kernel[i]]) return 0;
    }
  return 1;
}
