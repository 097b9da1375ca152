// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>
#include "evsel.h"
#include "pmus.h"

static void option(const char *name, int on, const char *macro)
{
	printf("%22s: [ %s ]  # %s\n", name, on ? "on " : "OFF", macro);
}

static int version(void)
{
	option("aio", 1, "HAVE_AIO_SUPPORT");
	option("fake", 1, "HAVE_FAKE_SUPPORT");
	return 0;
}

struct test {
	const char *name;
	int (*run)(void);
};

static const struct test tests[] = {
	{ "CPU map", pmus__count },
	{ "Sample parsing", evsel__parse },
};

static int wanted(const char *name, int count, char **words)
{
	for (int i = 0; i < count; i++)
		if (strstr(name, words[i]))
			return 1;
	return count == 0;
}

static int run_tests(int count, char **words)
{
	int failed = 0;

	for (unsigned int i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (!wanted(tests[i].name, count, words))
			continue;
		int ok = tests[i].run() > 0;

		printf("%3u: %-40s: %s\n", i + 1, tests[i].name, ok ? "Ok" : "FAILED!");
		failed |= !ok;
	}
	return failed;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "version"))
		return version();
	if (argc > 1 && !strcmp(argv[1], "test"))
		return run_tests(argc - 2, argv + 2);
	fprintf(stderr, "usage: perf version|test\n");
	return 129;
}
