/* Reads a circuit through Qiskit's C API into flat columns. Plain C: the API's functions come in as pointers, so that
 * nothing is linked and no header of Python is needed. The caller holds the GIL and keeps the circuit alive.
 *
 * A row is a distinct (name, qubits, parameters, classical bits), numbered in the order in which they first occur. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "qiskit/complex.h"
#include "qiskit/types.h"

#define MOST_ROWS 256

typedef void view_function(const QkCircuit *, size_t, QkCircuitInstructionView *);
typedef QkParamKind kind_function(const QkParam *);
typedef double real_function(const QkParam *);

typedef struct {
  int64_t qubits, params, clbits; /* entries of all instructions */
} Sizes;

typedef struct {
  uint16_t *row;   /* of each instruction */
  uint16_t *qubits;
  double *params;  /* NaN for what is no plain number */
  uint32_t *clbits;
  int64_t *first;  /* first instruction of each row; room for MOST_ROWS */
} Columns;

void qubitd_measure(const QkCircuit *circuit, int64_t count, view_function *view, Sizes *sizes) {
  QkCircuitInstructionView one;
  memset(sizes, 0, sizeof *sizes);
  for (int64_t i = 0; i < count; i++) {
    view(circuit, (size_t)i, &one);
    sizes->qubits += one.num_qubits;
    sizes->params += (int64_t)one.num_params;
    sizes->clbits += one.num_clbits;
  }
}

static int is_of_row(const QkCircuitInstructionView *one, const QkCircuitInstructionView *row) {
  return one->num_qubits == row->num_qubits && one->num_params == row->num_params &&
         one->num_clbits == row->num_clbits && one->name_len == row->name_len &&
         (one->name == row->name || memcmp(one->name, row->name, one->name_len) == 0);
}

/* NaN for what is no plain number. Qiskit ends the process if it is asked for that of an object of Python's. */
static double number_of(const QkParam *param, kind_function *kind, real_function *real) {
  QkParamKind found = kind(param);
  return found == QkParamKind_Real || found == QkParamKind_Int ? real(param) : NAN;
}

/* Gives the number of rows, or -1 if there are more than MOST_ROWS. */
int64_t qubitd_read(const QkCircuit *circuit, int64_t count, view_function *view, kind_function *kind,
                    real_function *real, int64_t stride, const Columns *out) {
  QkCircuitInstructionView one, rows[MOST_ROWS];
  int64_t used = 0, qubit = 0, param = 0, clbit = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t row = 0;
    view(circuit, (size_t)i, &one);
    while (row < used && !is_of_row(&one, &rows[row]))
      row++;
    if (row == used) {
      if (used == MOST_ROWS)
        return -1;
      out->first[used] = i;
      rows[used++] = one;
    }
    out->row[i] = (uint16_t)row;
    for (uint32_t k = 0; k < one.num_qubits; k++)
      out->qubits[qubit++] = one.qubits[k] > UINT16_MAX ? UINT16_MAX : (uint16_t)one.qubits[k];
    for (size_t k = 0; k < one.num_params; k++)
      out->params[param++] = number_of((const QkParam *)((const char *)one.params + k * (size_t)stride), kind, real);
    for (uint32_t k = 0; k < one.num_clbits; k++)
      out->clbits[clbit++] = one.clbits[k];
  }
  return used;
}
