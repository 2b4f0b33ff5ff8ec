/* SPDX-License-Identifier: MIT */
#include "print.h"

#include <stdarg.h>
#include <stdint.h>

#include "machine.h"
#include "spin.h"

static bool print_is_muted;
/* So that a line of one CPU is whole. */
static struct spin_lock console;
static void (*describe)(void);

#define PATIENCE 1000000

struct field {
	bool left;
	bool zeroes;
	bool is_long;
	unsigned width;
};

static void put_padded(const char *text, unsigned length, const struct field *field)
{
	unsigned padding = field->width > length ? field->width - length : 0;

	for (unsigned i = 0; i < padding && !field->left; i++)
		machine_put_char(field->zeroes ? '0' : ' ');
	for (unsigned i = 0; i < length; i++)
		machine_put_char(text[i]);
	for (unsigned i = 0; i < padding && field->left; i++)
		machine_put_char(' ');
}

static void put_text(const char *text, const struct field *field)
{
	unsigned length = 0;

	while (text[length])
		length++;
	put_padded(text, length, field);
}

static void put_number(uint64_t value, unsigned base, bool negative, const struct field *field)
{
	char digits[24];
	unsigned at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative)
		digits[--at] = '-';
	put_padded(digits + at, (unsigned)sizeof(digits) - at, field);
}

static const char *parse_field(const char *format, struct field *field, va_list *arguments)
{
	*field = (struct field){0};
	for (; *format == '-' || *format == '0'; format++) {
		field->left |= *format == '-';
		field->zeroes |= *format == '0';
	}
	if (*format == '*') {
		field->width = va_arg(*arguments, unsigned);
		format++;
	}
	for (; *format >= '0' && *format <= '9'; format++)
		field->width = field->width * 10 + (unsigned)(*format - '0');
	for (; *format == 'l'; format++)
		field->is_long = true;
	return format;
}

static void put_signed(const struct field *field, va_list *arguments)
{
	int64_t value = field->is_long ? va_arg(*arguments, long) : va_arg(*arguments, int);

	put_number(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, value < 0, field);
}

static void put_unsigned(unsigned base, const struct field *field, va_list *arguments)
{
	uint64_t value =
		field->is_long ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned);

	put_number(value, base, false, field);
}

static void print_list(const char *format, va_list *arguments)
{
	for (; *format; format++) {
		struct field field;

		if (*format != '%') {
			machine_put_char(*format);
			continue;
		}
		format = parse_field(format + 1, &field, arguments);
		switch (*format) {
		case 'c':
			machine_put_char((char)va_arg(*arguments, int));
			break;
		case 's':
			put_text(va_arg(*arguments, const char *), &field);
			break;
		case 'd':
			put_signed(&field, arguments);
			break;
		case 'u':
			put_unsigned(10, &field, arguments);
			break;
		case 'x':
			put_unsigned(16, &field, arguments);
			break;
		default:
			machine_put_char(*format);
			break;
		}
	}
}

static void print_plain(const char *text)
{
	put_text(text, &(struct field){0});
}

void print(const char *format, ...)
{
	va_list arguments;

	if (print_is_muted)
		return;
	spin_lock(&console);
	va_start(arguments, format);
	print_list(format, &arguments);
	va_end(arguments);
	spin_unlock(&console);
}

void print_mute(bool muted)
{
	print_is_muted = muted;
}

void print_before_failing(void (*wanted)(void))
{
	describe = wanted;
}

/* It may be the console's own holder that fails, in an exception: not for ever. */
static bool take_console(void)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		if (spin_try_lock(&console))
			return true;
		machine_relax();
	}
	return false;
}

void fail(const char *format, ...)
{
	void (*first)(void) = describe;
	va_list arguments;

	/* Once: should it fail itself. */
	describe = NULL;
	if (take_console() && first) {
		spin_unlock(&console);
		first();
		take_console();
	}
	va_start(arguments, format);
	print_plain("\nFAIL: ");
	print_list(format, &arguments);
	print_plain("\n");
	va_end(arguments);
	machine_exit(1);
}
