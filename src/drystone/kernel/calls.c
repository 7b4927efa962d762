/* System calls that Python does not offer, for tools that would spend more on importing ctypes: see calls.pyi.
 *
 * Each gives up the interpreter's lock while it is in the kernel. Only Python's stable ABI is used.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static PyObject *answer(long found, int number) {
    if (found < 0) {
        errno = number;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyLong_FromLong(found);
}

static PyObject *ioctl_buffer(PyObject *module, PyObject *arguments) {
    int handle, number, found;
    unsigned long request;
    Py_buffer buffer;
    if (!PyArg_ParseTuple(arguments, "ikw*", &handle, &request, &buffer))
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    found = ioctl(handle, request, buffer.buf);
    number = errno;
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&buffer);
    return answer(found, number);
}

static PyObject *ioctl_value(PyObject *module, PyObject *arguments) {
    int handle, number, found;
    unsigned long request, value = 0;
    if (!PyArg_ParseTuple(arguments, "ik|k", &handle, &request, &value))
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    found = ioctl(handle, request, value);
    number = errno;
    Py_END_ALLOW_THREADS;
    return answer(found, number);
}

static PyObject *lock_memory(PyObject *module, PyObject *flags) {
    int number, found;
    long wanted = PyLong_AsLong(flags);
    if (wanted == -1 && PyErr_Occurred())
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    found = mlockall((int)wanted);
    number = errno;
    Py_END_ALLOW_THREADS;
    return answer(found, number);
}

static PyObject *unlock_memory(PyObject *module, PyObject *nothing) {
    int number, found;
    Py_BEGIN_ALLOW_THREADS;
    found = munlockall();
    number = errno;
    Py_END_ALLOW_THREADS;
    return answer(found, number);
}

static PyObject *advise_memory(PyObject *module, PyObject *arguments) {
    int advice, number, found;
    unsigned long long begin, end;
    if (!PyArg_ParseTuple(arguments, "KKi", &begin, &end, &advice))
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    found = madvise((void *)(uintptr_t)begin, (size_t)(end - begin), advice);
    number = errno;
    Py_END_ALLOW_THREADS;
    return answer(found, number);
}

static PyMethodDef functions[] = {
    {"ioctl_buffer", ioctl_buffer, METH_VARARGS, NULL},
    {"ioctl_value", ioctl_value, METH_VARARGS, NULL},
    {"lock_memory", lock_memory, METH_O, NULL},
    {"unlock_memory", unlock_memory, METH_NOARGS, NULL},
    {"advise_memory", advise_memory, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "calls", "System calls; see calls.pyi.", 0, functions, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_calls(void) { return PyModuleDef_Init(&definition); }
