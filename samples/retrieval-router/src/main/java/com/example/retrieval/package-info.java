/** A router that finds adapters by their example prompts. */
@NullMarked
package com.example.retrieval;

import org.jspecify.annotations.NullMarked;
