/* A library in the place of NVIDIA's, for hosts without a GPU: what nvidia-ml-py asks is answered from a text file.
 *
 * FAKE_NVML names the file, which is read at each look (nvmlDeviceGetCount), so that a test may change it:
 *
 *   gpu UUID MEMORY_MIB BUS UTILISATION USED_MIB ECC_ERRORS LOST MIG NAME   one for each GPU, in their order
 *   mig GPU SLOT UUID MEMORY_MIB                                            an instance of the GPU with this index
 *   process GPU PID                                                         computes on it
 *   link GPU GPU                                                            NVLink
 *   fault GPU NUMBER                                                        an XID, told once to each process that asks
 *   rows GPU PENDING FAILED                                                 rows of memory that are to be replaced
 *   persistence GPU MODE                                                    whether its driver stays loaded (0 or 1)
 *   hang                                                                    the driver does not answer
 *   broken                                                                  it answers with an error
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX 64
#define SUCCESS 0
#define INVALID_ARGUMENT 2
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define TIMEOUT 10
#define GPU_IS_LOST 15
#define UNKNOWN 999
#define MIB (1024ULL * 1024)

typedef struct {
    char uuid[96], name[96], bus[32];
    unsigned long long memory, used, ecc;
    unsigned utilisation, lost, mig, rows_pending, rows_failed, persistence;
    int parent, slot;
} Device;

typedef struct { unsigned gpu, memory; } Rates;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;
typedef struct { Device *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } Event;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;

static Device gpus[MAX], instances[MAX];
static int gpu_count, instance_count, process_count, link_count, fault_count, faults_told, is_broken;
static int process_gpu[MAX], links[MAX][2], fault_gpu[MAX];
static unsigned process_pid[MAX];
static unsigned long long fault_number[MAX];

static void read_line(const char *line) {
    Device d;
    memset(&d, 0, sizeof d);
    d.parent = -1;
    int a, b;
    unsigned u;
    unsigned long long n;
    if (sscanf(line, "gpu %95s %llu %31s %u %llu %llu %u %u %95[^\n]", d.uuid, &d.memory, d.bus, &d.utilisation, &d.used,
               &d.ecc, &d.lost, &d.mig, d.name) == 9)
        gpus[gpu_count++] = d;
    else if (sscanf(line, "mig %d %d %95s %llu", &d.parent, &d.slot, d.uuid, &d.memory) == 4) {
        snprintf(d.name, sizeof d.name, "%.60s MIG", gpus[d.parent].name);
        instances[instance_count++] = d;
    } else if (sscanf(line, "process %d %u", &a, &u) == 2) {
        process_gpu[process_count] = a;
        process_pid[process_count++] = u;
    } else if (sscanf(line, "link %d %d", &a, &b) == 2) {
        links[link_count][0] = a;
        links[link_count++][1] = b;
    } else if (sscanf(line, "fault %d %llu", &a, &n) == 2) {
        fault_gpu[fault_count] = a;
        fault_number[fault_count++] = n;
    } else if (sscanf(line, "rows %d %d %d", &a, &b, &d.parent) == 3) {
        gpus[a].rows_pending = b;
        gpus[a].rows_failed = d.parent;
    } else if (sscanf(line, "persistence %d %u", &a, &u) == 2) {
        gpus[a].persistence = u;
    } else if (strncmp(line, "hang", 4) == 0) {
        for (;;) pause();
    } else if (strncmp(line, "broken", 6) == 0)
        is_broken = 1;
}

static void read_state(void) {
    char line[512];
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    gpu_count = instance_count = process_count = link_count = fault_count = is_broken = 0;
    while (file && fgets(line, sizeof line, file)) read_line(line);
    if (file) fclose(file);
}

static int index_of(Device *device) { return (int)(device - gpus); }

int nvmlInitWithFlags(unsigned flags) { (void)flags; read_state(); return is_broken ? UNKNOWN : SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : "an error of the stub"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    read_state();
    *count = gpu_count;
    return is_broken ? UNKNOWN : SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
    if ((int)index >= gpu_count) return INVALID_ARGUMENT;
    if (gpus[index].lost == 2) return GPU_IS_LOST;
    *device = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetUUID(Device *device, char *text, unsigned length) {
    snprintf(text, length, "%s", device->uuid);
    return SUCCESS;
}

int nvmlDeviceGetName(Device *device, char *text, unsigned length) {
    snprintf(text, length, "%s", device->name);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Device *device, Memory *memory) {
    if (device->lost) return GPU_IS_LOST;
    memory->total = device->memory * MIB;
    memory->used = device->used * MIB;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Device *device, Rates *rates) {
    if (device->parent >= 0) return NOT_SUPPORTED;
    rates->gpu = device->utilisation;
    rates->memory = 0;
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(Device *device, Pci *pci) {
    memset(pci, 0, sizeof *pci);
    snprintf(pci->bus_id, sizeof pci->bus_id, "0000%.27s", device->bus);
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned *count, Process *found) {
    unsigned room = *count, number = 0;
    int index = device->parent >= 0 ? -1 : index_of(device);
    for (int i = 0; i < process_count; i++)
        if (process_gpu[i] == index) {
            if (found && number < room) {
                memset(&found[number], 0, sizeof *found);
                found[number].pid = process_pid[i];
            }
            number++;
        }
    *count = number;
    return number > room ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    *current = *pending = device->mig;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *count) { (void)device; *count = 7; return SUCCESS; }

int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned slot, Device **instance) {
    for (int i = 0; i < instance_count; i++)
        if (instances[i].parent == index_of(device) && instances[i].slot == (int)slot) {
            *instance = &instances[i];
            return SUCCESS;
        }
    return NOT_FOUND;
}

int nvmlDeviceGetTotalEccErrors(Device *device, int kind, int counter, unsigned long long *count) {
    (void)kind, (void)counter;
    *count = device->ecc;
    return SUCCESS;
}

int nvmlDeviceGetRemappedRows(Device *device, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    *corrected = *uncorrected = 0;
    *pending = device->rows_pending;
    *failed = device->rows_failed;
    return SUCCESS;
}

int nvmlDeviceGetPersistenceMode(Device *device, unsigned *mode) {
    *mode = device->persistence;
    return SUCCESS;
}

int nvmlDeviceGetP2PStatus(Device *one, Device *other, int kind, int *status) {
    *status = 2; /* not supported by the topology */
    for (int i = 0; kind == 2 && i < link_count; i++)
        if ((links[i][0] == index_of(one) && links[i][1] == index_of(other)) ||
            (links[i][1] == index_of(one) && links[i][0] == index_of(other)))
            *status = 0;
    return SUCCESS;
}

int nvmlEventSetCreate(void **set) { static int any; *set = &any; return SUCCESS; }

int nvmlDeviceRegisterEvents(Device *device, unsigned long long types, void *set) {
    (void)device, (void)types, (void)set;
    return SUCCESS;
}

int nvmlEventSetWait_v2(void *set, Event *event, unsigned milliseconds) {
    (void)set, (void)milliseconds;
    if (faults_told >= fault_count) return TIMEOUT;
    memset(event, 0, sizeof *event);
    event->device = &gpus[fault_gpu[faults_told]];
    event->data = fault_number[faults_told++];
    return SUCCESS;
}
