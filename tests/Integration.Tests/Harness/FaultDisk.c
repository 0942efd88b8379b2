// Stands in for libc in one node process: pread, pwrite, fdatasync and fallocate on chosen files fail or wait, by the rules in the file
// named by FAULT_DISK_RULES, which may change while the process runs. A line of it: SUBSTRING-OF-PATH OPERATIONS ERRNO DELAY-MS MODE [FROM [TO]],
// OPERATIONS any of r w f; ERRNO 0 for none; a DELAY-MS of -1 waits until the rule is gone; MODE "before" waits before the call, "after"
// behind it, as a device that has done the work and does not say so; FROM and TO are the lowest and highest offset that are meant. Each hit appends
// a line to FAULT_DISK_RULES.hits.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fdatasync)(int);
static int (*real_fallocate)(int, int, off_t, off_t);

static void load(void) {
  if (real_fallocate) return;
  void *libc = dlopen("libc.so.6", RTLD_NOW);
  real_pread = dlsym(libc, "pread");
  real_pwrite = dlsym(libc, "pwrite");
  real_fdatasync = dlsym(libc, "fdatasync");
  real_fallocate = dlsym(libc, "fallocate");
}

static int find(const char *path, char operation, off_t offset, int *error, long *delay, char *mode) {
  const char *rules = getenv("FAULT_DISK_RULES");
  FILE *file = rules ? fopen(rules, "re") : NULL;
  if (!file) return 0;
  char line[400], part[256], operations[16];
  int found = 0;
  while (!found && fgets(line, sizeof line, file)) {
    long long from = 0, to = INT64_MAX;
    if (sscanf(line, "%255s %15s %d %ld %15s %lld %lld", part, operations, error, delay, mode, &from, &to) < 5) continue;
    found = strstr(path, part) && strchr(operations, operation) && offset >= from && offset <= to;
  }
  fclose(file);
  return found;
}

static void hit(const char *path, char operation) {
  char name[600], line[600];
  snprintf(name, sizeof name, "%s.hits", getenv("FAULT_DISK_RULES"));
  int length = snprintf(line, sizeof line, "%c %s\n", operation, path);
  int file = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  if (write(file, line, length) < 0) { }
  close(file);
}

// The error to give, or 0; waits as the rule says if it is for this moment.
static int fault(int descriptor, char operation, off_t offset, const char *when) {
  char link[64], path[512], mode[16];
  int error = 0;
  long delay = 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  struct timespec step = {0, 10000000};
  int seen = 0;
  for (long waited = 0;; waited += 10) {
    if (!find(path, operation, offset, &error, &delay, mode) || strcmp(mode, when)) return 0;
    if (!seen++) hit(path, operation);
    if (delay >= 0 && waited >= delay) return error;
    nanosleep(&step, 0);
  }
}

ssize_t pread(int descriptor, void *buffer, size_t length, off_t offset) {
  load();
  int error = fault(descriptor, 'r', offset, "before");
  if (error) { errno = error; return -1; }
  ssize_t result = real_pread(descriptor, buffer, length, offset);
  int saved = errno;
  fault(descriptor, 'r', offset, "after");
  errno = saved;
  return result;
}

ssize_t pwrite(int descriptor, const void *buffer, size_t length, off_t offset) {
  load();
  int error = fault(descriptor, 'w', offset, "before");
  if (error) { errno = error; return -1; }
  ssize_t result = real_pwrite(descriptor, buffer, length, offset);
  int saved = errno;
  fault(descriptor, 'w', offset, "after");
  errno = saved;
  return result;
}

int fdatasync(int descriptor) {
  load();
  int error = fault(descriptor, 'f', 0, "before");
  if (error) { errno = error; return -1; }
  return real_fdatasync(descriptor);
}

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
  load();
  int error = fault(descriptor, 'w', offset, "before");
  if (error) { errno = error; return -1; }
  return real_fallocate(descriptor, mode, offset, length);
}
