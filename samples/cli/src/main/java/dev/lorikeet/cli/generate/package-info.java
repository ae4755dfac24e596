/** Commands that run prompts through a model: {@code demo}, {@code generate} and {@code score}. */
@NullMarked
package dev.lorikeet.cli.generate;

import org.jspecify.annotations.NullMarked;
