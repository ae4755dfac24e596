/**
 * Jinja2 as transformers configures it for chat templates, over plain data and without reflection:
 * a template can reach nothing but what it is given.
 */
@NullMarked
package dev.lorikeet.text.jinja;

import org.jspecify.annotations.NullMarked;
