/* What must be done to every byte of many blocks: checksums, checks of nodes and array blocks, ranges, rows of text.
 *
 * For the tools that would otherwise spend most of their time importing numpy. native.pyi says what each function takes
 * and returns; nothing here decides what is damaged beyond what one block can be checked for by itself.
 * Formats: see layout.py. Only Python's stable ABI is used.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "checksums.h"

#define NODE_HEAD 32
#define ARRAY_HEAD 24
#define NODE_SALT 121107u
#define ARRAY_SALT 595846735u
#define DIGITS 20 /* of the largest u64 */

/* ---- Arguments. */

/* How many blocks a buffer holds; -1 with an exception when it is no number of whole ones. */
static Py_ssize_t count_blocks(const Py_buffer *blocks) {
    if (blocks->len % BLOCK) {
        PyErr_SetString(PyExc_ValueError, "blocks of 4096 bytes were expected");
        return -1;
    }
    return blocks->len / BLOCK;
}

/* 0, or -1 with an exception when a buffer does not hold `count` values of `size` bytes. */
static int check_length(const Py_buffer *values, Py_ssize_t count, Py_ssize_t size) {
    if (values->len == count * size)
        return 0;
    PyErr_SetString(PyExc_ValueError, "buffers of one length were expected");
    return -1;
}

static void release(Py_buffer *buffers, int count) {
    while (count--)
        PyBuffer_Release(&buffers[count]);
}

static uint32_t *sum_all(const Py_buffer *blocks, Py_ssize_t count, Sum sum) {
    uint32_t *sums = PyMem_Malloc(count * sizeof *sums + 1);
    if (!sums) {
        PyErr_NoMemory();
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    sum(blocks->buf, count, sums);
    Py_END_ALLOW_THREADS;
    return sums;
}

static PyObject *sum_bytes(PyObject *data, GoOn by) {
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
        return NULL;
    uint32_t crc = ~by(~0u, view.buf, view.len);
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLong(crc);
}

static PyObject *crc32c(PyObject *module, PyObject *data) { return sum_bytes(data, go_on); }

static PyObject *crc32c_by_tables(PyObject *module, PyObject *data) { return sum_bytes(data, go_on_plain); }

/* ---- Checks. */

/* Append (place, what, expected, found); `expected` is stolen, and may be NULL with an exception. */
static int add_fault(PyObject *faults, Py_ssize_t place, const char *what, PyObject *expected, uint64_t found) {
    if (!expected)
        return -1;
    PyObject *fault = Py_BuildValue("(nsNK)", place, what, expected, (unsigned long long)found);
    if (!fault)
        return -1;
    int failed = PyList_Append(faults, fault);
    Py_DECREF(fault);
    return failed;
}

static int add_number_fault(PyObject *faults, Py_ssize_t place, const char *what, uint64_t expected, uint64_t found) {
    return add_fault(faults, place, what, PyLong_FromUnsignedLongLong(expected), found);
}

static int add_range_fault(PyObject *faults, Py_ssize_t place, const char *what, uint64_t low, uint64_t high, uint64_t found) {
    PyObject *due = PyUnicode_FromFormat("%llu to %llu, the range its parent gives", (unsigned long long)low, (unsigned long long)high);
    return add_fault(faults, place, what, due, found);
}

struct field {
    const char *what;
    uint64_t expected, found;
};

/* Append the first of `fields` that is not as expected: 1 when one is, 0 when none is, or -1 with an exception. */
static int check_fields(PyObject *faults, Py_ssize_t place, const struct field *fields, size_t count) {
    for (const struct field *each = fields; each < fields + count; each++)
        if (each->expected != each->found)
            return add_number_fault(faults, place, each->what, each->expected, each->found) ? -1 : 1;
    return 0;
}

struct node_rules {
    uint32_t flags, value_size, most, fewest;
};

/* Look at one node: append its first fault, if it has one. */
static int check_node(PyObject *faults, Py_ssize_t place, const uint8_t *node, uint32_t csum, uint64_t number, uint64_t low,
                      uint64_t high, const struct node_rules *rules) {
    const struct field fields[] = {
        {"checksum", csum, read32(node)},
        {"location", number, read64(node + 8)},
        {"flags (1 internal, 2 leaf)", rules->flags, read32(node + 4)},
        {"value size", rules->value_size, read32(node + 24)},
        {"max entries", rules->most, read32(node + 20)},
    };
    int odd = check_fields(faults, place, fields, sizeof fields / sizeof *fields);
    if (odd)
        return odd < 0 ? -1 : 0;
    uint32_t count = read32(node + 16);
    if (count < rules->fewest || count > rules->most)
        return add_fault(faults, place, "number of entries", PyUnicode_FromFormat("%u to %u", rules->fewest, rules->most),
                         count);
    if (!count)
        return 0;
    const uint8_t *keys = node + NODE_HEAD;
    uint64_t first = read64(keys), last = first;
    for (uint32_t i = 1; i < count; i++) {
        uint64_t key = read64(keys + 8 * i);
        if (key <= last) {
            char what[24];
            PyOS_snprintf(what, sizeof what, "key %u", i);
            return add_fault(faults, place, what, PyUnicode_FromFormat("above %llu", (unsigned long long)last), key);
        }
        last = key;
    }
    if (first < low)
        return add_range_fault(faults, place, "first key", low, high, first);
    if (last > high)
        return add_range_fault(faults, place, "last key", low, high, last);
    return 0;
}

static PyObject *find_node_faults(PyObject *module, PyObject *args) {
    Py_buffer in[4]; /* blocks; numbers, lows, highs */
    struct node_rules rules;
    if (!PyArg_ParseTuple(args, "y*y*y*y*IIII", &in[0], &in[1], &in[2], &in[3], &rules.flags, &rules.value_size, &rules.most,
                          &rules.fewest))
        return NULL;
    PyObject *faults = NULL;
    uint32_t *sums = NULL;
    Py_ssize_t count = count_blocks(&in[0]);
    if (count < 0 || check_length(&in[1], count, 8) || check_length(&in[2], count, 8) || check_length(&in[3], count, 8))
        goto end;
    if (rules.most > (BLOCK - NODE_HEAD) / 8) {
        PyErr_SetString(PyExc_ValueError, "more keys than fit a node");
        goto end;
    }
    if (!(sums = sum_all(&in[0], count, sum_blocks)) || !(faults = PyList_New(0)))
        goto end;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint64_t row[3];
        for (int column = 0; column < 3; column++)
            memcpy(&row[column], (uint8_t *)in[column + 1].buf + 8 * i, 8);
        const uint8_t *node = (uint8_t *)in[0].buf + i * BLOCK;
        if (check_node(faults, i, node, sums[i] ^ NODE_SALT, row[0], row[1], row[2], &rules)) {
            Py_CLEAR(faults);
            break;
        }
    }
end:
    PyMem_Free(sums);
    release(in, 4);
    return faults;
}

static int check_array_block(PyObject *faults, Py_ssize_t place, const uint8_t *block, uint32_t csum, uint64_t number,
                             uint32_t value_size, uint64_t size) {
    const struct field fields[] = {
        {"checksum", csum, read32(block)},
        {"location", number, read64(block + 16)},
        {"value size", value_size, read32(block + 12)},
        {"max entries", (BLOCK - ARRAY_HEAD) / value_size, read32(block + 4)},
        {"number of entries", size, read32(block + 8)},
    };
    return check_fields(faults, place, fields, sizeof fields / sizeof *fields) < 0 ? -1 : 0;
}

static PyObject *find_array_faults(PyObject *module, PyObject *args) {
    Py_buffer in[3]; /* blocks; numbers, sizes */
    unsigned int value_size;
    if (!PyArg_ParseTuple(args, "y*y*y*I", &in[0], &in[1], &in[2], &value_size))
        return NULL;
    PyObject *faults = NULL;
    uint32_t *sums = NULL;
    Py_ssize_t count = count_blocks(&in[0]);
    if (count < 0 || check_length(&in[1], count, 8) || check_length(&in[2], count, 8))
        goto end;
    if (!value_size || value_size > BLOCK - ARRAY_HEAD) {
        PyErr_SetString(PyExc_ValueError, "no such value size");
        goto end;
    }
    if (!(sums = sum_all(&in[0], count, sum_blocks)) || !(faults = PyList_New(0)))
        goto end;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint64_t number, size;
        memcpy(&number, (uint8_t *)in[1].buf + 8 * i, 8);
        memcpy(&size, (uint8_t *)in[2].buf + 8 * i, 8);
        const uint8_t *block = (uint8_t *)in[0].buf + i * BLOCK;
        if (check_array_block(faults, i, block, sums[i] ^ ARRAY_SALT, number, value_size, size)) {
            Py_CLEAR(faults);
            break;
        }
    }
end:
    PyMem_Free(sums);
    release(in, 3);
    return faults;
}

static PyObject *sum_as_bytes(PyObject *args, Sum sum) {
    Py_buffer blocks;
    unsigned int salt;
    if (!PyArg_ParseTuple(args, "y*I", &blocks, &salt))
        return NULL;
    PyObject *found = NULL;
    uint32_t *sums = NULL;
    Py_ssize_t count = count_blocks(&blocks);
    if (count >= 0 && (sums = sum_all(&blocks, count, sum))) {
        for (Py_ssize_t i = 0; i < count; i++)
            sums[i] ^= salt;
        found = PyBytes_FromStringAndSize((char *)sums, count * 4);
    }
    PyMem_Free(sums);
    PyBuffer_Release(&blocks);
    return found;
}

static PyObject *sum_blocks_best(PyObject *module, PyObject *args) { return sum_as_bytes(args, sum_blocks); }

static PyObject *sum_blocks_by_tables(PyObject *module, PyObject *args) { return sum_as_bytes(args, sum_blocks_plain); }

/* ---- Arrays: their entries, and those of eras. */

static PyObject *join_entries(PyObject *module, PyObject *args) {
    Py_buffer blocks;
    unsigned int value_size;
    Py_ssize_t entries;
    if (!PyArg_ParseTuple(args, "y*In", &blocks, &value_size, &entries))
        return NULL;
    PyObject *found = NULL;
    Py_ssize_t count = count_blocks(&blocks);
    if (count < 0)
        goto end;
    Py_ssize_t most = value_size ? (BLOCK - ARRAY_HEAD) / value_size : 0;
    if (entries < 0 || entries > count * most) {
        PyErr_SetString(PyExc_ValueError, "more entries than there are");
        goto end;
    }
    if (!(found = PyBytes_FromStringAndSize(NULL, entries * value_size)))
        goto end;
    uint8_t *out = (uint8_t *)PyBytes_AsString(found);
    for (Py_ssize_t i = 0, left = entries; left > 0; i++, left -= most) {
        size_t size = (left < most ? left : most) * value_size;
        memcpy(out, (uint8_t *)blocks.buf + i * BLOCK + ARRAY_HEAD, size);
        out += size;
    }
end:
    PyBuffer_Release(&blocks);
    return found;
}

static PyObject *find_above(PyObject *module, PyObject *args) {
    Py_buffer eras;
    unsigned int most;
    if (!PyArg_ParseTuple(args, "y*I", &eras, &most))
        return NULL;
    Py_ssize_t count = eras.len / 4, above = 0, first = -1;
    const uint8_t *at = eras.buf;
    for (Py_ssize_t i = 0; i < count; i++)
        if (read32(at + 4 * i) > most) {
            if (!above++)
                first = i;
        }
    PyBuffer_Release(&eras);
    return Py_BuildValue("(nn)", first, above);
}

static PyObject *mark_eras(PyObject *module, PyObject *args) {
    Py_buffer eras;
    unsigned long long since;
    if (!PyArg_ParseTuple(args, "y*K", &eras, &since))
        return NULL;
    Py_ssize_t count = eras.len / 4;
    PyObject *found = PyBytes_FromStringAndSize(NULL, (count + 63) / 64 * 8);
    if (found) {
        uint8_t *bits = (uint8_t *)PyBytes_AsString(found);
        const uint8_t *at = eras.buf;
        memset(bits, 0, (count + 63) / 64 * 8);
        for (Py_ssize_t i = 0; i < count; i++)
            bits[i / 8] |= (uint8_t)((read32(at + 4 * i) >= since) << i % 8);
    }
    PyBuffer_Release(&eras);
    return found;
}

/* The first bit from `at` on that is `value`, or `end`. Words beyond the last one are not looked at. */
static uint64_t find_bit(const uint8_t *bits, uint64_t at, uint64_t end, int value) {
    while (at < end) {
        uint64_t word = read64(bits + at / 64 * 8);
        word = (value ? word : ~word) >> at % 64;
        if (word) {
            at += (uint64_t)__builtin_ctzll(word);
            return at < end ? at : end;
        }
        at += 64 - at % 64;
    }
    return end;
}

static PyObject *find_runs(PyObject *module, PyObject *args) {
    Py_buffer bits;
    unsigned long long count, begin;
    if (!PyArg_ParseTuple(args, "y*KK", &bits, &count, &begin))
        return NULL;
    PyObject *found = NULL;
    uint64_t (*runs)[2] = NULL;
    if (bits.len % 8 || count > (unsigned long long)bits.len * 8) {
        PyErr_SetString(PyExc_ValueError, "more bits than there are words");
        goto end;
    }
    uint64_t room = count / 2 + 1, taken = 0;
    if (!(runs = PyMem_Malloc(room * sizeof *runs))) {
        PyErr_NoMemory();
        goto end;
    }
    for (uint64_t at = find_bit(bits.buf, 0, count, 1); at < count;) {
        uint64_t end = find_bit(bits.buf, at, count, 0);
        runs[taken][0] = begin + at;
        runs[taken++][1] = end - at;
        at = find_bit(bits.buf, end, count, 1);
    }
    found = PyBytes_FromStringAndSize((char *)runs, (Py_ssize_t)(taken * sizeof *runs));
end:
    PyMem_Free(runs);
    PyBuffer_Release(&bits);
    return found;
}

/* ---- Text. */

static char *spell_number(char *out, uint64_t number) {
    char digits[DIGITS];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *out++ = digits[--count];
    return out;
}

static char *spell_piece(char *out, const Py_buffer *piece) {
    memcpy(out, piece->buf, piece->len);
    return out + piece->len;
}

static PyObject *spell_runs(PyObject *module, PyObject *args) {
    Py_buffer runs, piece[3], single[2];
    int ends, singles;
    if (!PyArg_ParseTuple(args, "y*(y*y*y*)p(y*y*)p", &runs, &piece[0], &piece[1], &piece[2], &ends, &single[0], &single[1],
                          &singles))
        return NULL;
    PyObject *text = NULL;
    char *room = NULL;
    Py_ssize_t count = runs.len / 16;
    Py_ssize_t most = piece[0].len + piece[1].len + piece[2].len + 2 * DIGITS;
    if (single[0].len + single[1].len + DIGITS > most)
        most = single[0].len + single[1].len + DIGITS;
    if (count > PY_SSIZE_T_MAX / most || !(room = PyMem_Malloc(count * most + 1))) {
        PyErr_NoMemory();
        goto end;
    }
    char *out = room;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint64_t run[2];
        memcpy(run, (uint8_t *)runs.buf + 16 * i, 16);
        if (singles && run[1] == 1) {
            out = spell_number(spell_piece(out, &single[0]), run[0]);
            out = spell_piece(out, &single[1]);
            continue;
        }
        out = spell_number(spell_piece(out, &piece[0]), run[0]);
        out = spell_number(spell_piece(out, &piece[1]), ends ? run[0] + run[1] : run[1]);
        out = spell_piece(out, &piece[2]);
    }
    text = PyBytes_FromStringAndSize(room, out - room);
end:
    PyMem_Free(room);
    PyBuffer_Release(&runs);
    release(piece, 3);
    release(single, 2);
    return text;
}

static PyMethodDef functions[] = {
    {"sum_blocks", sum_blocks_best, METH_VARARGS, NULL},
    {"sum_blocks_by_tables", sum_blocks_by_tables, METH_VARARGS, NULL},
    {"crc32c", crc32c, METH_O, NULL},
    {"crc32c_by_tables", crc32c_by_tables, METH_O, NULL},
    {"find_node_faults", find_node_faults, METH_VARARGS, NULL},
    {"find_array_faults", find_array_faults, METH_VARARGS, NULL},
    {"join_entries", join_entries, METH_VARARGS, NULL},
    {"find_above", find_above, METH_VARARGS, NULL},
    {"mark_eras", mark_eras, METH_VARARGS, NULL},
    {"find_runs", find_runs, METH_VARARGS, NULL},
    {"spell_runs", spell_runs, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int start(PyObject *module) {
    make_tables();
    sum_blocks = choose_sum();
    go_on = choose_go_on();
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, start}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "native", "Passes over the bytes of many metadata blocks; see native.pyi.", 0, functions, slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_native(void) { return PyModuleDef_Init(&definition); }
